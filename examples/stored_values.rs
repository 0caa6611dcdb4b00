//! The stored values of DICOM files, as the decoder finds them: before HU, mask and crop.
//!
//! ```text
//! cargo run --release --example stored_values -- FILE...               values to standard output
//! cargo run --release --example stored_values -- --repeat 20 FILE...   CPU time of decoding instead
//! ```
//!
//! For each frame a line of JSON, and behind it the values as it says: raw, row by row.
//!
//! ```text
//! {"file":0,"frame":0,"dtype":"<i2","shape":[512,512]}        then 524288 bytes
//! {"file":1,"frame":0,"reason":"truncated","detail":"..."}     then none
//! ```
//!
//! `file` counts the arguments from 0: paths may hold a patient's name. Frames end at the first that
//! has no values; a file that has any needs no line for "no more frames".
//!
//! With `--repeat N` a line for each file: the CPU time (ms, user and system) that a frame took, in each
//! of N passes over the file's bytes in memory, each from parsing the header to the values.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use dcmshard::decode::Decoder;
use dcmshard::identity::{Key, SourceId};
use dcmshard::reason::{Fault, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, SliceRef};
use dcmshard::stage::Scratch;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let repeat = match arguments.first().map(String::as_str) {
        Some("--repeat") => {
            let passes: usize = arguments.get(1).ok_or("--repeat needs a number")?.parse()?;
            arguments.drain(..2);
            Some(passes)
        }
        _ => None,
    };
    // What a decoder makes of pixels does not depend on the recipe; its pseudonyms, not shown here, need a key.
    let decoder = Decoder::new(&Recipe::head(), &Key::new([0; 32]));
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (file, path) in arguments.iter().enumerate() {
        let bytes: Arc<[u8]> = std::fs::read(path)?.into();
        match repeat {
            None => write_frames(&mut out, &decoder, file, bytes)?,
            Some(passes) => writeln!(out, "{}", timed(&decoder, file, &bytes, passes))?,
        }
    }
    Ok(out.flush()?)
}

/// Calls `each` with the values of every frame, of the first `most` at most; gives how many there are.
///
/// # Errors
/// The fault of the first frame that has no values, unless it is that there are no more frames.
fn frames<E: From<Fault>>(
    decoder: &Decoder,
    bytes: Arc<[u8]>,
    most: u32,
    mut each: impl FnMut(u32, Pixels) -> Result<(), E>,
) -> Result<u32, E> {
    // One reference for all frames: what the first one found out serves the next.
    let input = InputRef::memory(SourceId([0; 24]), bytes);
    let mut scratch = Scratch::default();
    for frame in 0..most {
        let at = SliceRef { ordinal: Ordinal(0), input: input.clone(), frame };
        match decoder.decode(&at, &mut scratch) {
            Ok(slice) => each(frame, slice.pixels)?,
            Err(fault) if fault.reason == Reason::FrameMissing && frame > 0 => return Ok(frame),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(most)
}

/// Every frame of a file.
fn write_frames(out: &mut impl Write, decoder: &Decoder, file: usize, bytes: Arc<[u8]>) -> Result<(), Box<dyn Error>> {
    let mut count = 0;
    let done = frames(decoder, bytes, u32::MAX, |frame, pixels| {
        count = frame + 1;
        let (_, rows, columns) = pixels.dim();
        let (dtype, raw): (_, Vec<u8>) = match &pixels {
            Pixels::U8(values) => ("|u1", values.iter().copied().collect()),
            Pixels::U16(values) => ("<u2", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Pixels::I16(values) => ("<i2", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Pixels::I32(values) => ("<i4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        writeln!(out, "{}", json!({"file": file, "frame": frame, "dtype": dtype, "shape": [rows, columns]}))?;
        Ok::<_, Box<dyn Error>>(out.write_all(&raw)?)
    });
    match done.map_err(|error| error.downcast::<Fault>()) {
        Ok(_) => Ok(()),
        Err(Ok(fault)) => Ok(writeln!(out, "{}", fault_line(file, count, &fault))?),
        Err(Err(error)) => Err(error),
    }
}

fn fault_line(file: usize, frame: u32, fault: &Fault) -> Value {
    json!({"file": file, "frame": frame, "reason": fault.reason.as_str(), "detail": fault.detail})
}

/// CPU time of a frame in each of `passes` passes; one before them finds out how many frames there are.
fn timed(decoder: &Decoder, file: usize, bytes: &Arc<[u8]>, passes: usize) -> Value {
    let pass = |most| {
        let start = cpu_ms();
        let count = frames(decoder, bytes.clone(), most, |_, pixels| {
            std::hint::black_box(pixels);
            Ok::<_, Fault>(())
        })?;
        Ok((count, (cpu_ms() - start) / f64::from(count)))
    };
    let times = pass(u32::MAX).and_then(|(count, _)| {
        let times: Result<Vec<f64>, Fault> = (0..passes).map(|_| Ok(pass(count)?.1)).collect();
        Ok((count, times?))
    });
    match times {
        Ok((count, times)) => json!({"file": file, "frames": count, "cpu_ms": times}),
        Err(fault) => fault_line(file, 0, &fault),
    }
}

/// CPU time of this process up to now.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}
