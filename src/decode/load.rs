//! Reading as much of an input as its header needs, and no more.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::cursor::Stop;
use super::file_meta::{self, FileMeta};
use super::header::Header;
use super::input::Input;
use super::limits::exceeded;
use super::scan::scan;
use super::syntax::{EXPLICIT_LE, Encoding, Syntax};
use crate::reason::{Fault, Reason};
use crate::recipe::{LimitsKeys, Recipe};

/// The first read; most headers fit.
pub(super) const FIRST_BYTES: u64 = 64 << 10;

/// The header of an input.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) meta: FileMeta,
    /// Bytes of the input.
    pub(crate) size: u64,
    /// `None`: the file names one that is not in the table.
    pub(crate) syntax: Option<&'static Syntax>,
    /// How the data set is written, which need not be what the syntax says.
    pub(crate) encoding: Encoding,
    /// What was read of the data set.
    pub(crate) header: Header,
    /// What is wrong with the rest of it.
    pub(crate) broken: Option<Fault>,
}

/// Reads the header. `None`: this is no DICOM.
///
/// `buffer` is emptied; after it, it holds the first bytes of a file. `is_enough` may end the reading
/// early, looking at what is known so far.
///
/// # Errors
/// Where the input cannot be read, or says it is DICOM and breaks before its data set.
pub(crate) fn load(
    input: &Input<'_>,
    buffer: &mut Vec<u8>,
    recipe: &Recipe,
    is_enough: impl Fn(&FileMeta, &Header) -> bool,
) -> Result<Option<Loaded>, Fault> {
    buffer.clear();
    let most = recipe.limits.header_bytes;
    let mut window = FIRST_BYTES;
    loop {
        let bytes = match input.memory() {
            Some(bytes) => bytes,
            None => {
                input.extend(buffer, window.min(input.size()))?;
                &buffer[..]
            }
        };
        match attempt(bytes, input.size(), window, recipe, &is_enough) {
            Ok(loaded) => return Ok(loaded),
            Err(Stop::Broken(fault)) => return Err(fault),
            // The scan itself ends at the limit; the doubling is a second bound.
            Err(Stop::NeedMore) if window > FIRST_BYTES + 2 * most => {
                return Err(exceeded("header bytes (limits.header_bytes)", window, most));
            }
            Err(Stop::NeedMore) => window *= 2,
        }
    }
}

fn attempt(
    bytes: &[u8],
    size: u64,
    window: u64,
    recipe: &Recipe,
    is_enough: impl Fn(&FileMeta, &Header) -> bool,
) -> Result<Option<Loaded>, Stop> {
    let Some(meta) = file_meta::read(bytes, size, &recipe.limits)? else { return Ok(None) };
    let start = usize::try_from(meta.data_set).unwrap_or(usize::MAX);
    let rest = bytes.get(start..).unwrap_or_default();
    let syntax = meta.syntax(rest);
    let scanned = if let Some(syntax) = syntax.filter(|syntax| syntax.is_deflated) {
        if let Err(fault) = syntax.check_is_on(&recipe.decode) {
            let (encoding, header) = (EXPLICIT_LE, Header::default());
            return Ok(Some(Loaded { meta, size, syntax: Some(syntax), encoding, header, broken: Some(fault) }));
        }
        let (inflated, total) = inflate_start(rest, window, bytes.len() as u64 == size)?;
        scan(&inflated, total, 0, EXPLICIT_LE, &recipe.limits)
    } else {
        let labelled = syntax.map_or(EXPLICIT_LE, |syntax| syntax.encoding);
        scan(bytes, Some(size), meta.data_set, labelled, &recipe.limits)
    };
    let broken = match scanned.end {
        Err(Stop::NeedMore) if !is_enough(&meta, &scanned.header) => return Err(Stop::NeedMore),
        Err(Stop::Broken(fault)) => Some(fault),
        _ => None,
    };
    Ok(Some(Loaded { meta, size, syntax, encoding: scanned.encoding, header: scanned.header, broken }))
}

/// The first `most` bytes of a deflated data set, and its length where it ends before.
fn inflate_start(deflated: &[u8], most: u64, is_all: bool) -> Result<(Vec<u8>, Option<u64>), Stop> {
    let mut inflated = Vec::new();
    let ended = match DeflateDecoder::new(deflated).take(most).read_to_end(&mut inflated) {
        Ok(_) => (inflated.len() as u64) < most,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => is_all,
        Err(_) => return Err(Fault::new(Reason::MalformedHeader, "the deflated data set is damaged").into()),
    };
    let total = ended.then_some(inflated.len() as u64);
    Ok((inflated, total))
}

/// Exactly the first `length` bytes of a deflated data set.
///
/// # Errors
/// Reason `limit_exceeded` above the limit, `truncated` where there are fewer, `decode_failed` where
/// the stream is damaged.
pub(crate) fn inflate(deflated: &[u8], length: u64, limits: &LimitsKeys) -> Result<Vec<u8>, Fault> {
    if length > limits.inflated_bytes {
        return Err(exceeded("inflated bytes (limits.inflated_bytes)", length, limits.inflated_bytes));
    }
    // Deflate packs 1032:1 at best: never more memory than the bytes at hand can fill.
    let most = length.min(1032 * deflated.len() as u64);
    let mut inflated = Vec::with_capacity(usize::try_from(most).unwrap_or(0));
    match DeflateDecoder::new(deflated).take(length).read_to_end(&mut inflated) {
        Ok(_) if inflated.len() as u64 == length => Ok(inflated),
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(Fault::new(Reason::DecodeFailed, "the deflated data set is damaged"))
        }
        _ => {
            let detail = format!("{} inflated bytes, expected {length}", inflated.len());
            Err(Fault::new(Reason::Truncated, detail))
        }
    }
}
