//! What the process of a trial answers: the slice as the sink wants it, or its reject. One line of
//! JSON, then the tensor's bytes.

use std::io::{self, Write};
use std::sync::Arc;

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::column::{Column, Facts, Value};
use crate::kernel::affine::Affine;
use crate::pipeline::Pipeline;
use crate::reason::{Fault, Reason};
use crate::slice::{Outcome, Pixels, Reject, Slice, SliceRef};

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// Where the input was read to its end.
    content_id: Option<String>,
    answer: Answer,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Written { is_int16: bool, shape: (usize, usize, usize), facts: Vec<(String, Wire)> },
    Rejected { stage: String, reason: String, detail: String },
}

/// A value; numbers with a point as their bits, for not all of them have digits.
#[derive(Debug, Serialize, Deserialize)]
enum Wire {
    Bool(bool),
    Int32(i32),
    Float64(u64),
    Text(String),
    ListInt32(Vec<i32>),
    ListFloat64(Vec<u64>),
    ListText(Vec<String>),
}

impl From<&Value> for Wire {
    fn from(value: &Value) -> Wire {
        match value {
            Value::Bool(value) => Wire::Bool(*value),
            Value::Int32(value) => Wire::Int32(*value),
            Value::Float64(value) => Wire::Float64(value.to_bits()),
            Value::Text(value) => Wire::Text(value.clone()),
            Value::ListInt32(values) => Wire::ListInt32(values.clone()),
            Value::ListFloat64(values) => Wire::ListFloat64(values.iter().map(|value| value.to_bits()).collect()),
            Value::ListText(values) => Wire::ListText(values.clone()),
        }
    }
}

impl From<Wire> for Value {
    fn from(wire: Wire) -> Value {
        match wire {
            Wire::Bool(value) => Value::Bool(value),
            Wire::Int32(value) => Value::Int32(value),
            Wire::Float64(bits) => Value::Float64(f64::from_bits(bits)),
            Wire::Text(value) => Value::Text(value),
            Wire::ListInt32(values) => Value::ListInt32(values),
            Wire::ListFloat64(bits) => Value::ListFloat64(bits.into_iter().map(f64::from_bits).collect()),
            Wire::ListText(values) => Value::ListText(values),
        }
    }
}

/// Writes what came of a slice behind the last step of the line.
///
/// # Errors
/// What writing says; `InvalidData` where the pixels are no tensor.
pub(super) fn write(outcome: &Outcome, mut to: impl Write) -> io::Result<()> {
    let (answer, tensor) = match outcome {
        Ok(slice) => {
            let facts = slice.facts.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let (is_int16, tensor) = match &slice.pixels {
                Pixels::U8(pixels) => (false, pixels.iter().copied().collect()),
                Pixels::I16(pixels) => (true, pixels.iter().flat_map(|value| value.to_le_bytes()).collect()),
                Pixels::U16(_) | Pixels::I32(_) => return Err(io::ErrorKind::InvalidData.into()),
            };
            (Answer::Written { is_int16, shape: slice.pixels.dim(), facts }, tensor)
        }
        Err(Reject { stage, fault, .. }) => {
            let (stage, reason) = ((*stage).to_owned(), fault.reason.as_str().to_owned());
            (Answer::Rejected { stage, reason, detail: fault.detail.clone() }, Vec::new())
        }
    };
    let (Ok(Slice { at, .. }) | Err(Reject { at, .. })) = outcome;
    let content_id = at.input.opened.content_id().map(str::to_owned);
    serde_json::to_writer(&mut to, &Told { content_id, answer })?;
    to.write_all(b"\n")?;
    to.write_all(&tensor)?;
    to.flush()
}

/// Reads it, for the slice `at`; `None` where it is no answer of this line's.
pub(super) fn read(bytes: &[u8], at: &SliceRef, pipeline: &Pipeline) -> Option<Outcome> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, tensor) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    let at = at.clone();
    let Told { content_id, answer } = serde_json::from_slice(line).ok()?;
    if let Some(content_id) = content_id {
        at.input.opened.is_read_as(content_id);
    }
    match answer {
        Answer::Written { is_int16, shape, facts: told } => {
            let columns = pipeline.columns();
            let mut facts = Facts::default();
            for (name, wire) in told {
                let column: &&'static Column = columns.iter().find(|column| column.name == name)?;
                let value = Value::from(wire);
                (value.kind() == column.kind).then(|| facts.set(column, value))?;
            }
            let (pixels, attributes) = (pixels(is_int16, shape, tensor)?, Arc::new(Attributes::default()));
            let (guide, placement) = (Array2::default((0, 0)), Affine::IDENTITY);
            Some(Ok(Slice { at, attributes, pixels, guide, mask: None, placement, facts }))
        }
        Answer::Rejected { stage, reason, detail } => {
            let stage = (0..pipeline.steps()).map(|step| pipeline.step_name(step)).find(|name| *name == stage)?;
            let reason = *Reason::all().iter().find(|known| known.as_str() == reason)?;
            Some(Err(Reject { at, stage, fault: Fault::new(reason, detail) }))
        }
    }
}

fn pixels(is_int16: bool, shape: (usize, usize, usize), tensor: &[u8]) -> Option<Pixels> {
    if is_int16 {
        let (values, rest) = tensor.as_chunks::<2>();
        let values = values.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        rest.is_empty().then(|| Array3::from_shape_vec(shape, values).ok().map(Pixels::I16))?
    } else {
        Array3::from_shape_vec(shape, tensor.to_vec()).ok().map(Pixels::U8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Key, SourceId};
    use crate::recipe::Recipe;
    use crate::slice::{InputRef, Ordinal};
    use crate::stage::Scratch;

    #[test]
    fn an_answer_is_read_as_it_was_written_to_the_last_bit() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let options = crate::phantom::PhantomOptions { heads: 1, slices_per_head: 1, ..Default::default() };
        let truth = crate::phantom::write_archive(folder.path(), &options).expect("can be written");
        let path = folder.path().join(&truth.files[0].path);
        for (recipe, path) in [
            (Recipe::head(), path.clone()),
            (
                Recipe::from_toml("", &["output.dtype=\"int16\"".into(), "hu_window.windows=[]".into()])
                    .expect("sound"),
                path,
            ),
            (Recipe::head(), "/not/there".into()),
        ] {
            let pipeline = Pipeline::new(&recipe, &Key::new([7; 32]));
            let at = SliceRef { ordinal: Ordinal(3), input: InputRef::file(SourceId([9; 24]), &path), frame: 0 };
            let outcome = pipeline.process(&at, &mut Scratch::default());
            let mut bytes = Vec::new();
            write(&outcome, &mut bytes)?;
            let content_id = at.input.opened.content_id().map(str::to_owned);
            let at = SliceRef { input: InputRef::file(SourceId([9; 24]), &path), ..at };
            let read_back = read(&bytes, &at, &pipeline).expect("an answer");
            assert_eq!(at.input.opened.content_id(), content_id.as_deref());
            match (outcome, read_back) {
                (Ok(was), Ok(is)) => assert_eq!((was.pixels, was.facts), (is.pixels, is.facts)),
                (Err(was), Err(is)) => assert_eq!((was.fault, was.stage), (is.fault, is.stage)),
                (_, is) => panic!("{:?}", is.is_ok()),
            }
            for cut in [0, 1, bytes.len() / 2] {
                let cut = read(&bytes[..cut], &at, &pipeline);
                assert!(cut.is_none(), "{cut:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn numbers_without_digits_come_through() {
        for value in [f64::NAN, f64::NEG_INFINITY, -0.0, 0.1, f64::from_bits(1)] {
            let json = serde_json::to_string(&Wire::from(&Value::ListFloat64(vec![value]))).expect("JSON");
            let Value::ListFloat64(back) = serde_json::from_str::<Wire>(&json).expect("JSON").into() else { panic!() };
            assert_eq!(back[0].to_bits(), value.to_bits());
        }
    }
}
