//! The rows digest: one number for a set of rows, whatever their order and the shards they lie in.
//!
//! A row's *canonical bytes* are those of its columns one after another, in the order of the schema:
//!
//! | part | bytes |
//! |---|---|
//! | name of the column | length as u64, UTF-8 |
//! | null flag | 0: null, and nothing follows; 1 |
//! | boolean | 1 |
//! | int32, float64 | 4, 8; a float by its bits |
//! | text | length as u64, UTF-8 |
//! | list | number of elements as u64, then each as above |
//! | image | length in bytes as u64, then the tensor in C order |
//!
//! All numbers are little-endian. Both layouts of the image give the same bytes. The row's hash is the
//! BLAKE3 of them, read as a number of 256 bits, little-endian; the digest of a set is the sum of its
//! rows' hashes modulo 2^256, that of no rows 0.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, UInt8Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// A number of 256 bits that only its set of rows has; see the module. Printed as 64 lower-case hex
/// digits, the most significant first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RowsDigest([u64; 4]);

impl RowsDigest {
    /// The digest of one row with this hash.
    fn of_hash(hash: &[u8; 32]) -> RowsDigest {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(hash.as_chunks().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        RowsDigest(limbs)
    }

    /// The digest of the rows of a batch.
    ///
    /// # Errors
    /// A sentence that names the column whose type no shard has.
    pub(crate) fn of(rows: &RecordBatch) -> Result<RowsDigest, String> {
        let mut hashes = RowHashes::of_rows(rows.num_rows());
        for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            hashes.take(field.name(), 0, column)?;
        }
        Ok(hashes.sum())
    }
}

impl AddAssign for RowsDigest {
    fn add_assign(&mut self, other: RowsDigest) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_again);
        }
    }
}

impl Sum for RowsDigest {
    fn sum<I: Iterator<Item = RowsDigest>>(digests: I) -> RowsDigest {
        digests.fold(RowsDigest::default(), |mut sum, digest| {
            sum += digest;
            sum
        })
    }
}

impl fmt::Display for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

impl FromStr for RowsDigest {
    type Err = String;

    /// Reads what `Display` prints.
    fn from_str(word: &str) -> Result<RowsDigest, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(word, &mut bytes).map_err(|_| "a rows digest that is not 64 hex digits".to_owned())?;
        bytes.reverse();
        Ok(RowsDigest::of_hash(&bytes))
    }
}

impl From<RowsDigest> for String {
    fn from(digest: RowsDigest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for RowsDigest {
    type Error = String;

    fn try_from(word: String) -> Result<RowsDigest, String> {
        word.parse()
    }
}

/// The hashes of some rows, fed column by column in the order of the schema.
pub(crate) struct RowHashes {
    rows: Vec<blake3::Hasher>,
    buffer: Vec<u8>,
}

impl RowHashes {
    /// Of so many rows.
    pub(crate) fn of_rows(rows: usize) -> RowHashes {
        RowHashes { rows: vec![blake3::Hasher::new(); rows], buffer: Vec::new() }
    }

    /// Takes the values of the column `name`, of the rows from `first` on.
    ///
    /// # Errors
    /// A sentence that names the column, where its type is none that a shard has.
    pub(crate) fn take(&mut self, name: &str, first: usize, values: &dyn Array) -> Result<(), String> {
        for (at, hasher) in self.rows.iter_mut().skip(first).take(values.len()).enumerate() {
            let image = canonical(name, values, at, &mut self.buffer)?;
            hasher.update(&self.buffer).update(image);
        }
        Ok(())
    }

    /// The sum over all rows.
    pub(crate) fn sum(self) -> RowsDigest {
        self.rows.iter().map(|hasher| RowsDigest::of_hash(hasher.finalize().as_bytes())).sum()
    }
}

/// Puts the canonical bytes of one value into `into`, but for those of an image, which are given back
/// as they lie: they follow.
///
/// # Errors
/// A sentence that names the column, where its type is none that a shard has.
pub(crate) fn canonical<'a>(
    name: &str,
    values: &'a dyn Array,
    at: usize,
    into: &mut Vec<u8>,
) -> Result<&'a [u8], String> {
    into.clear();
    put_text(name, into);
    into.push(u8::from(values.is_valid(at)));
    if values.is_null(at) {
        return Ok(&[]);
    }
    let image = match values.data_type() {
        DataType::FixedSizeBinary(_) => Some(values.as_fixed_size_binary().value(at)),
        DataType::FixedSizeList(..) => Some(tensor(values, at).ok_or_else(|| no_such_type(name, values))?),
        _ => None,
    };
    match image {
        Some(image) => put_length(image.len(), into),
        None => put(values, at, into).ok_or_else(|| no_such_type(name, values))?,
    }
    Ok(image.unwrap_or_default())
}

fn no_such_type(name: &str, values: &dyn Array) -> String {
    format!("column {name} is {}, which has no canonical bytes", values.data_type())
}

/// The bytes of a tensor of `layout = "tensor"`.
fn tensor(values: &dyn Array, at: usize) -> Option<&[u8]> {
    let list = values.as_fixed_size_list();
    let length = usize::try_from(list.value_length()).ok()?;
    let (elements, bytes_each) = match list.value_type() {
        DataType::UInt8 => (list.values().as_primitive::<UInt8Type>().values().inner(), 1),
        DataType::Int16 => (list.values().as_primitive::<Int16Type>().values().inner(), 2),
        _ => return None,
    };
    let from = list.value_offset_at(at);
    elements.as_slice().get(from * bytes_each..(from + length) * bytes_each)
}

/// A value of any other column; `None` where no shard has such a type.
fn put(values: &dyn Array, at: usize, into: &mut Vec<u8>) -> Option<()> {
    match values.data_type() {
        DataType::Boolean => into.push(u8::from(values.as_boolean().value(at))),
        DataType::Int32 => into.extend(values.as_primitive::<Int32Type>().value(at).to_le_bytes()),
        DataType::Float64 => {
            into.extend(values.as_primitive::<Float64Type>().value(at).to_bits().to_le_bytes());
        }
        DataType::Utf8 => put_text(values.as_string::<i32>().value(at), into),
        DataType::List(_) => {
            let elements = values.as_list::<i32>().value(at);
            if elements.null_count() > 0 {
                return None;
            }
            put_length(elements.len(), into);
            return (0..elements.len()).try_for_each(|at| put(&elements, at, into));
        }
        _ => return None,
    }
    Some(())
}

fn put_text(text: &str, into: &mut Vec<u8>) {
    put_length(text.len(), into);
    into.extend(text.as_bytes());
}

fn put_length(length: usize, into: &mut Vec<u8>) {
    into.extend((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{
        ArrayRef, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray, Float64Array, Int16Array, Int32Array,
        Int64Array, StringArray, UInt8Array,
    };
    use arrow_schema::Field;
    use proptest::prelude::*;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("equal lengths")
    }

    fn words(rows: &[Option<&[&str]>]) -> ArrayRef {
        let mut list =
            ListBuilder::new(StringBuilder::new()).with_field(Arc::new(Field::new("element", DataType::Utf8, false)));
        for row in rows {
            row.iter().copied().flatten().for_each(|word| list.values().append_value(word));
            list.append(row.is_some());
        }
        Arc::new(list.finish())
    }

    #[test]
    fn the_canonical_bytes_of_a_row_are_those_of_the_table() {
        let image = FixedSizeBinaryArray::try_new(3, vec![9u8, 8, 7, 1, 2, 3].into(), None).expect("two rows");
        let rows = batch(vec![
            ("image", Arc::new(image)),
            ("yes", Arc::new(BooleanArray::from(vec![None, Some(true)]))),
            ("n", Arc::new(Int32Array::from(vec![Some(1), Some(-2)]))),
            ("x", Arc::new(Float64Array::from(vec![None, Some(-0.0)]))),
            ("t", Arc::new(StringArray::from(vec![Some(""), Some("ab")]))),
            ("l", words(&[None, Some(&["c", ""])])),
        ]);
        let one = |n: u64| n.to_le_bytes();
        let second = [
            &one(5)[..],
            b"image\x01",
            &one(3),
            &[1, 2, 3],
            &one(3),
            b"yes\x01\x01",
            &one(1),
            b"n\x01\xfe\xff\xff\xff",
            &one(1),
            b"x\x01\0\0\0\0\0\0\0\x80",
            &one(1),
            b"t\x01",
            &one(2),
            b"ab",
            &one(1),
            b"l\x01",
            &one(2),
            &one(1),
            b"c",
            &one(0),
        ]
        .concat();
        let expected = RowsDigest::of_hash(blake3::hash(&second).as_bytes());
        assert_eq!(RowsDigest::of(&rows.slice(1, 1)), Ok(expected));
        let mut both = RowsDigest::of(&rows.slice(0, 1)).expect("types of a shard");
        both += expected;
        assert_eq!(RowsDigest::of(&rows), Ok(both), "a sum");
        assert_eq!(RowsDigest::of(&rows.slice(0, 0)), Ok(RowsDigest::default()));
    }

    #[test]
    fn both_layouts_have_the_same_canonical_bytes() {
        let digest = |image: ArrayRef| RowsDigest::of(&batch(vec![("image", image)]).slice(1, 1));
        let list = |values: ArrayRef, each| {
            let field = Arc::new(Field::new("element", values.data_type().clone(), true));
            Arc::new(FixedSizeListArray::try_new(field, each, values, None).expect("two rows")) as ArrayRef
        };
        let binary = |bytes: Vec<u8>, each| {
            Arc::new(FixedSizeBinaryArray::try_new(each, bytes.into(), None).expect("two rows")) as ArrayRef
        };
        let bytes = digest(binary(vec![1, 2, 3, 4], 2));
        assert_eq!(digest(list(Arc::new(UInt8Array::from(vec![1, 2, 3, 4])), 2)), bytes);
        let hu = digest(binary(vec![0, 0xfc, 1, 0xfc, 2, 0, 3, 0], 4));
        assert_eq!(digest(list(Arc::new(Int16Array::from(vec![-1024, -1023, 2, 3])), 2)), hu);
        assert!(digest(list(Arc::new(Int32Array::from(vec![1, 2])), 1)).is_err());
        assert!(RowsDigest::of(&batch(vec![("n", Arc::new(Int64Array::from(vec![1])))])).is_err());
    }

    #[test]
    fn a_column_that_moves_into_another_changes_the_digest() {
        let rows = |a: Option<&str>, b: Option<&str>| {
            let column = |value| Arc::new(StringArray::from(vec![value])) as ArrayRef;
            RowsDigest::of(&batch(vec![("a", column(a)), ("b", column(b))])).expect("text")
        };
        let all = [rows(Some("x"), None), rows(None, Some("x")), rows(Some(""), Some("x")), rows(None, None)];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
    }

    #[test]
    fn the_sum_is_modulo_two_to_the_256th() {
        let digest = |word: &str| word.parse::<RowsDigest>().expect("64 digits");
        let mut all = digest(&"f".repeat(64));
        all += digest(&format!("{}2", "0".repeat(63)));
        assert_eq!(all.to_string(), format!("{}1", "0".repeat(63)));
        let mut carried = digest(&format!("{}{}", "0".repeat(48), "f".repeat(16)));
        carried += digest(&format!("{}1", "0".repeat(63)));
        assert_eq!(carried.to_string(), format!("{}1{}", "0".repeat(47), "0".repeat(16)));
        assert!("".parse::<RowsDigest>().is_err() && "g".repeat(64).parse::<RowsDigest>().is_err());
    }

    /// Byte by byte, as on paper.
    fn plain_sum(hashes: &[[u8; 32]]) -> [u8; 32] {
        let mut sum = [0u8; 32];
        for hash in hashes {
            let mut carry = 0;
            for (place, byte) in sum.iter_mut().zip(hash) {
                let total = u32::from(*place) + u32::from(*byte) + carry;
                (*place, carry) = ((total & 255) as u8, total >> 8);
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_plain_addition_in_any_order(
            hashes in prop::collection::vec(prop::array::uniform32(any::<u8>()), 0..9),
            high in 0usize..9,
        ) {
            let mut hashes = hashes;
            if let Some(hash) = hashes.get_mut(high) {
                *hash = [255; 32];
            }
            let sum: RowsDigest = hashes.iter().map(RowsDigest::of_hash).sum();
            let backwards: RowsDigest = hashes.iter().rev().map(RowsDigest::of_hash).sum();
            prop_assert_eq!(sum, backwards);
            prop_assert_eq!(sum, RowsDigest::of_hash(&plain_sum(&hashes)));
            prop_assert_eq!(sum.to_string().parse::<RowsDigest>(), Ok(sum));
        }
    }
}
