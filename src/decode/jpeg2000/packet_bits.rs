//! Bits of packet headers.
//!
//! # Source
//! T.800 B.10.1: after a byte of ones the next one starts with a stuffed zero.

use super::failed;
use crate::reason::Fault;

/// Reads bits, most significant first.
pub(super) struct PacketBits<'a> {
    rest: &'a [u8],
    byte: u8,
    /// Bits of `byte` that are not read yet.
    left: u32,
}

fn cut() -> Fault {
    failed("a packet header is cut")
}

impl<'a> PacketBits<'a> {
    /// A reader from the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> PacketBits<'a> {
        PacketBits { rest: bytes, byte: 0, left: 0 }
    }

    /// The next bit.
    ///
    /// # Errors
    /// Reason `decode_failed` behind the end.
    #[inline]
    pub(super) fn bit(&mut self) -> Result<u32, Fault> {
        if self.left == 0 {
            let (&byte, rest) = self.rest.split_first().ok_or_else(cut)?;
            self.left = if self.byte == 0xFF { 7 } else { 8 };
            (self.byte, self.rest) = (byte, rest);
        }
        self.left -= 1;
        Ok(u32::from(self.byte >> self.left & 1))
    }

    /// A number of `count` bits, at most 32.
    ///
    /// # Errors
    /// Reason `decode_failed` behind the end.
    pub(super) fn number(&mut self, count: u32) -> Result<u32, Fault> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | self.bit()?;
        }
        Ok(number)
    }

    /// The bytes behind the header: a last byte of ones is followed by a stuffed one.
    ///
    /// # Errors
    /// Reason `decode_failed` where the stuffed byte is missing.
    pub(super) fn finish(self) -> Result<&'a [u8], Fault> {
        match self.byte {
            0xFF => self.rest.get(1..).ok_or_else(cut),
            _ => Ok(self.rest),
        }
    }
}
