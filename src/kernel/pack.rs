//! Pixels to bits.

/// Up to 64 pixels as one word, the first in bit 0.
///
/// Comparing into bytes is a loop that the compiler turns into vector code; one multiplication then
/// gathers eight bytes of 0 or 1 into eight bits: byte i moves from bit 8 i to bit 56 + i, and no
/// two terms of the product meet.
pub(super) fn packed<T: Copy>(pixels: &[T], is_set: impl Fn(T) -> bool) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut bytes = [0u8; 64];
    bytes.iter_mut().zip(pixels).for_each(|(byte, &pixel)| *byte = u8::from(is_set(pixel)));
    let (eights, _) = bytes.as_chunks::<8>();
    let eights = eights.iter().enumerate();
    eights.fold(0, |word, (i, &eight)| word | u64::from_le_bytes(eight).wrapping_mul(GATHER) >> 56 << (8 * i))
}

/// A type of pixels of which 64 are packed into a word quickly.
pub trait Pixel: Copy {
    /// Whether it is not 0.
    fn is_set(self) -> bool;

    /// Which of 64 pixels are not 0, the first in bit 0.
    fn pack(pixels: &[Self; 64]) -> u64;
}

macro_rules! pixel {
    ($of:ty, $sixteen_are_clear:ident) => {
        impl Pixel for $of {
            fn is_set(self) -> bool {
                self != 0
            }

            // No loop of plain Rust becomes the one instruction that gathers 16 comparisons, and
            // gathering them by multiplication takes three times as long.
            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn pack(pixels: &[$of; 64]) -> u64 {
                let (sixteens, _) = pixels.as_chunks::<16>();
                // SAFETY: the only condition of this safe function with a target feature is that the
                // processor has SSE2, and every x86-64 does.
                #[allow(unsafe_code)]
                let clear = |sixteen| u64::from(unsafe { sse2::$sixteen_are_clear(sixteen) });
                !sixteens.iter().rev().fold(0, |word, sixteen| word << 16 | clear(sixteen))
            }

            #[cfg(not(target_arch = "x86_64"))]
            fn pack(pixels: &[$of; 64]) -> u64 {
                packed(pixels, <$of>::is_set)
            }
        }
    };
}
pixel!(u8, clear_of_u8);
pixel!(u16, clear_of_u16);

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmpeq_epi16, _mm_movemask_epi8, _mm_packs_epi16, _mm_set_epi64x, _mm_setzero_si128,
    };

    #[inline]
    #[target_feature(enable = "sse2")]
    fn register(bytes: u128) -> __m128i {
        _mm_set_epi64x((bytes >> 64) as i64, bytes as i64)
    }

    /// Which of 16 pixels are 0, the first in bit 0.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn clear_of_u8(pixels: &[u8; 16]) -> u16 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(register(u128::from_le_bytes(*pixels)), _mm_setzero_si128())) as u16
    }

    /// Which of 16 pixels are 0, the first in bit 0.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn clear_of_u16(pixels: &[u16; 16]) -> u16 {
        let are_clear = |eight: &[u16]| {
            let joined = eight.iter().rev().fold(0, |joined: u128, &pixel| joined << 16 | u128::from(pixel));
            _mm_cmpeq_epi16(register(joined), _mm_setzero_si128())
        };
        let (low, high) = pixels.split_at(8);
        _mm_movemask_epi8(_mm_packs_epi16(are_clear(low), are_clear(high))) as u16
    }
}
