//! Rows: the Arrow schema of a shard, and the encoding of a row group as a pure function of its
//! rows.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int32Builder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray, Float64Array, Int16Array, Int32Array,
    RecordBatch, StringArray, UInt8Array,
};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use ndarray::{Array3, Dimension};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{self, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::digest::{RowHashes, RowsDigest};
use super::table;
use crate::column::{Column, Facts, Kind, Value};
use crate::error::Error;
use crate::recipe::{Compression, Dtype, Layout, Recipe};
use crate::slice::{Pixels, Slice};

/// The tensor's column.
pub const IMAGE: &str = "image";
/// Rows of one row group (the last of a shard may hold fewer).
pub const ROWS_PER_GROUP: usize = 16;

/// What is left of a slice that becomes a row: its tensor and its columns.
#[derive(Debug)]
pub(crate) struct Row {
    pixels: Pixels,
    facts: Facts,
}

impl From<Slice> for Row {
    fn from(slice: Slice) -> Row {
        Row { pixels: slice.pixels, facts: slice.facts }
    }
}

/// A row group, encoded.
#[derive(Debug)]
pub(crate) struct RowGroup {
    /// Its rows.
    pub(crate) rows: usize,
    /// Their digest.
    pub(crate) digest: RowsDigest,
    chunks: Vec<ArrowColumnChunk>,
}

impl RowGroup {
    /// Appends it to a file of [`RowEncoder::file_writer`].
    pub(crate) fn append_to<W: std::io::Write + Send>(
        self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let mut writer = file.next_row_group()?;
        for chunk in self.chunks {
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close().map(|_| ())
    }
}

/// The Arrow schema of a shard: `image`, then `columns` in order.
///
/// With `layout = "binary"` the tensor is a FixedSizeBinary, C order, little-endian, whose field
/// metadata holds `shape` (as `[1, 512, 512]`: channels, rows, columns) and `dtype` (`uint8` or
/// `int16`). With `layout = "tensor"` it is `arrow.fixed_shape_tensor` of the same shape.
///
/// # Errors
/// [`Error::Bug`] where the tensor is larger than Arrow can hold.
pub fn arrow_schema(recipe: &Recipe, columns: &[&'static Column]) -> Result<SchemaRef, Error> {
    let mut fields = vec![image_field(recipe)?];
    fields.extend(columns.iter().map(|column| Field::new(column.name, data_type(column.kind), column.nullable)));
    Ok(Arc::new(Schema::new(fields)))
}

fn image_field(recipe: &Recipe) -> Result<Field, Error> {
    let too_large = |_| Error::Bug(format!("a tensor of {} bytes: expected below 2 GiB", recipe.tensor_bytes()));
    let bytes = i32::try_from(recipe.tensor_bytes()).map_err(too_large)?;
    let shape = [recipe.channels(), recipe.crop_pad.size as usize, recipe.crop_pad.size as usize];
    match recipe.output.layout {
        Layout::Binary => Ok(Field::new(IMAGE, DataType::FixedSizeBinary(bytes), false).with_metadata([
            ("shape", format!("[{}, {}, {}]", shape[0], shape[1], shape[2])),
            ("dtype", dtype_name(recipe.output.dtype).to_owned()),
        ])),
        Layout::Tensor => {
            let elements = bytes / recipe.output.dtype.bytes() as i32;
            let data_type = DataType::FixedSizeList(element_field(recipe.output.dtype), elements);
            let [channels, rows, columns] = shape;
            Ok(Field::new(IMAGE, data_type, false).with_metadata([
                (EXTENSION_TYPE_NAME_KEY, "arrow.fixed_shape_tensor".to_owned()),
                (EXTENSION_TYPE_METADATA_KEY, format!("{{\"shape\":[{channels},{rows},{columns}]}}")),
            ]))
        }
    }
}

fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Uint8 => "uint8",
        Dtype::Int16 => "int16",
    }
}

/// The one element type of a list column: never null.
fn element(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("element", data_type, false))
}

/// The element of an `arrow.fixed_shape_tensor`. None is ever null, but pyarrow knows the type only
/// where the field says that it may be. arrow-schema 60.1 wants the contrary (and writes `null` for
/// what is left out, and `permutations`), so the type is declared by hand.
fn element_field(dtype: Dtype) -> FieldRef {
    let data_type = match dtype {
        Dtype::Uint8 => DataType::UInt8,
        Dtype::Int16 => DataType::Int16,
    };
    Arc::new(Field::new("element", data_type, true))
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int32 => DataType::Int32,
        Kind::Float64 => DataType::Float64,
        Kind::Text => DataType::Utf8,
        Kind::ListInt32 => DataType::List(element(DataType::Int32)),
        Kind::ListFloat64 => DataType::List(element(DataType::Float64)),
        Kind::ListText => DataType::List(element(DataType::Utf8)),
    }
}

/// How rows become the bytes of a shard. One for a whole run; shared by all workers.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    schema: SchemaRef,
    columns: Vec<&'static Column>,
    shape: (usize, usize, usize),
    recipe_dtype: Dtype,
    compression: Compression,
    column_writers: ArrowRowGroupWriterFactory,
}

impl RowEncoder {
    /// The encoder of `recipe` for these columns.
    pub(crate) fn new(recipe: &Recipe, columns: Vec<&'static Column>) -> Result<RowEncoder, Error> {
        let schema = arrow_schema(recipe, &columns)?;
        let size = recipe.crop_pad.size as usize;
        let compression = recipe.output.compression;
        let nowhere = arrow_writer(std::io::sink(), &schema, &columns, compression, &[]).map_err(cannot_encode)?;
        let (_, column_writers) = nowhere.into_serialized_writer().map_err(cannot_encode)?;
        Ok(RowEncoder {
            schema,
            columns,
            shape: (recipe.channels(), size, size),
            recipe_dtype: recipe.output.dtype,
            compression,
            column_writers,
        })
    }

    /// A writer of whole row groups into the file `to`, with `metadata` in its footer.
    pub(crate) fn file_writer<W: std::io::Write + Send>(
        &self,
        to: W,
        metadata: &[(&str, String)],
    ) -> Result<SerializedFileWriter<W>, ParquetError> {
        Ok(arrow_writer(to, &self.schema, &self.columns, self.compression, metadata)?.into_serialized_writer()?.0)
    }

    /// Encodes one row group, and takes the digest of its rows: a pure function of them. Each tensor is
    /// freed as soon as its page is made.
    ///
    /// # Errors
    /// [`Error::Bug`] naming the column that is not set, not declared or of the wrong kind.
    pub(crate) fn encode(&self, rows: Vec<Row>) -> Result<RowGroup, Error> {
        let mut writers = self.column_writers.create_column_writers(0).map_err(cannot_encode)?;
        for row in &rows {
            self.check(&row.facts)?;
        }
        let (count, mut hashes) = (rows.len(), RowHashes::of_rows(rows.len()));
        let mut leaves = writers.iter_mut();
        let (pixels, facts): (Vec<Pixels>, Vec<Facts>) = rows.into_iter().map(|row| (row.pixels, row.facts)).unzip();
        let image = leaves.next().ok_or_else(|| Error::Bug("a shard without columns".to_owned()))?;
        for (row, tensor) in pixels.into_iter().enumerate() {
            let tensor = self.tensor(tensor)?;
            hashes.take(IMAGE, row, &tensor).map_err(Error::Bug)?;
            write(image, self.schema.field(0), &tensor)?;
        }
        for ((column, field), writer) in self.columns.iter().zip(self.schema.fields().iter().skip(1)).zip(leaves) {
            let values = column_values(column, &facts);
            hashes.take(column.name, 0, &values).map_err(Error::Bug)?;
            write(writer, field, &values)?;
        }
        let chunks =
            writers.into_iter().map(|writer| writer.close().map_err(cannot_encode)).collect::<Result<_, _>>()?;
        Ok(RowGroup { rows: count, digest: hashes.sum(), chunks })
    }

    /// One row as a table: what [`RowEncoder::encode`] would write.
    ///
    /// # Errors
    /// As [`RowEncoder::encode`].
    pub(crate) fn table(&self, row: Row) -> Result<RecordBatch, Error> {
        self.check(&row.facts)?;
        let mut columns = vec![self.tensor(row.pixels)?];
        columns.extend(self.columns.iter().map(|column| column_values(column, std::slice::from_ref(&row.facts))));
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| Error::Bug(format!("a row: {e}")))
    }

    /// That a row's values are those its columns declare.
    fn check(&self, facts: &Facts) -> Result<(), Error> {
        for column in &self.columns {
            match facts.get(column.name) {
                Some(value) if value.kind() == column.kind => {}
                None if column.nullable => {}
                Some(value) => {
                    let (found, expected) = (value.kind(), column.kind);
                    return Err(Error::Bug(format!("column {} holds {found:?}, expected {expected:?}", column.name)));
                }
                None => return Err(Error::Bug(format!("column {} is not set, expected in every row", column.name))),
            }
        }
        match facts.iter().find(|(name, _)| !self.columns.iter().any(|column| column.name == *name)) {
            Some((name, _)) => Err(Error::Bug(format!("column {name} is set, but no step declares it"))),
            None => Ok(()),
        }
    }

    /// One tensor as an array of one row; its memory is used as it is.
    fn tensor(&self, pixels: Pixels) -> Result<ArrayRef, Error> {
        let found = pixels.dim();
        if found != self.shape {
            return Err(Error::Bug(format!("a tensor of shape {found:?}, expected {:?}", self.shape)));
        }
        let expected = self.recipe_dtype;
        let (buffer, bytes) = match (pixels, expected) {
            (Pixels::U8(tensor), Dtype::Uint8) => {
                let values = into_c_order(tensor);
                let bytes = values.len();
                (Buffer::from_vec(values), bytes)
            }
            (Pixels::I16(tensor), Dtype::Int16) => {
                let mut values = into_c_order(tensor);
                values.iter_mut().for_each(|value| *value = value.to_le());
                let bytes = 2 * values.len();
                (Buffer::from_vec(values), bytes)
            }
            _ => return Err(Error::Bug(format!("a tensor of another type, expected {}", dtype_name(expected)))),
        };
        let array = match self.schema.field(0).data_type() {
            DataType::FixedSizeList(element, length) => {
                let length = *length;
                let values: ArrayRef = match expected {
                    Dtype::Uint8 => Arc::new(UInt8Array::new(ScalarBuffer::from(buffer), None)),
                    Dtype::Int16 => Arc::new(Int16Array::new(ScalarBuffer::from(buffer), None)),
                };
                FixedSizeListArray::try_new(element.clone(), length, values, None).map(|a| Arc::new(a) as ArrayRef)
            }
            _ => FixedSizeBinaryArray::try_new(bytes as i32, buffer, None).map(|a| Arc::new(a) as ArrayRef),
        };
        array.map_err(|e| Error::Bug(format!("tensor: {e}")))
    }
}

/// The elements in (channel, row, column) order, without a copy where they lie so already.
fn into_c_order<T: Copy>(tensor: Array3<T>) -> Vec<T> {
    let length = tensor.raw_dim().size();
    if !tensor.is_standard_layout() {
        return tensor.iter().copied().collect();
    }
    let (mut values, offset) = tensor.into_raw_vec_and_offset();
    values.drain(..offset.unwrap_or(0));
    values.truncate(length);
    values
}

fn write(writer: &mut ArrowColumnWriter, field: &Field, array: &ArrayRef) -> Result<(), Error> {
    for leaf in compute_leaves(field, array).map_err(cannot_encode)? {
        writer.write(&leaf).map_err(cannot_encode)?;
    }
    Ok(())
}

fn cannot_encode(error: ParquetError) -> Error {
    Error::Bug(format!("encoding a row group: {error}"))
}

/// The values of one column, already checked to be of its kind.
fn column_values(column: &Column, rows: &[Facts]) -> ArrayRef {
    macro_rules! values {
        ($variant:ident) => {
            rows.iter().map(|facts| match facts.get(column.name) {
                Some(Value::$variant(value)) => Some(value),
                _ => None,
            })
        };
    }
    macro_rules! list {
        ($variant:ident, $builder:expr, $data_type:ident) => {{
            let mut list = ListBuilder::new($builder).with_field(element(DataType::$data_type));
            for values in values!($variant) {
                values.into_iter().flatten().for_each(|value| list.values().append_value(value.clone()));
                list.append(values.is_some());
            }
            Arc::new(list.finish())
        }};
    }
    match column.kind {
        Kind::Bool => Arc::new(values!(Bool).map(|v| v.copied()).collect::<BooleanArray>()),
        Kind::Int32 => Arc::new(values!(Int32).map(|v| v.copied()).collect::<Int32Array>()),
        Kind::Float64 => Arc::new(values!(Float64).map(|v| v.copied()).collect::<Float64Array>()),
        Kind::Text => Arc::new(values!(Text).collect::<StringArray>()),
        Kind::ListInt32 => list!(ListInt32, Int32Builder::new(), Int32),
        Kind::ListFloat64 => list!(ListFloat64, Float64Builder::new(), Float64),
        Kind::ListText => list!(ListText, StringBuilder::new(), Utf8),
    }
}

fn arrow_writer<W: std::io::Write + Send>(
    to: W,
    schema: &SchemaRef,
    columns: &[&'static Column],
    compression: Compression,
    metadata: &[(&str, String)],
) -> Result<ArrowWriter<W>, ParquetError> {
    let properties = properties(schema, columns, compression, metadata)?;
    ArrowWriter::try_new(to, schema.clone(), Some(properties))
}

/// The image: one row per page, compressed, neither dictionary nor statistics. The other columns:
/// one small page per group, not compressed (their bytes are not worth a compressor each), with
/// statistics of the group, so that readers can skip.
fn properties(
    schema: &Schema,
    columns: &[&'static Column],
    compression: Compression,
    metadata: &[(&str, String)],
) -> Result<WriterProperties, ParquetError> {
    let (image, encoding) = match schema.field(0).data_type() {
        DataType::FixedSizeList(..) => (list_path(IMAGE), Encoding::DELTA_BINARY_PACKED),
        _ => (ColumnPath::from(IMAGE), Encoding::PLAIN),
    };
    let mut properties = table::properties(metadata)
        .set_max_row_group_row_count(None)
        .set_compression(basic::Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_encoding(image.clone(), encoding)
        .set_column_compression(image.clone(), codec(compression)?)
        .set_column_statistics_enabled(image.clone(), EnabledStatistics::None)
        .set_column_data_page_size_limit(image.clone(), usize::MAX)
        .set_column_data_page_row_count_limit(image, 1);
    for column in columns {
        properties = match column.kind {
            Kind::Text => properties.set_column_dictionary_enabled(ColumnPath::from(column.name), true),
            Kind::ListText => properties.set_column_dictionary_enabled(list_path(column.name), true),
            _ => properties,
        };
    }
    Ok(properties.build())
}

/// The path of a list column's leaf in the Parquet schema.
fn list_path(name: &str) -> ColumnPath {
    ColumnPath::new(vec![name.to_owned(), "list".to_owned(), "element".to_owned()])
}

fn codec(compression: Compression) -> Result<basic::Compression, ParquetError> {
    Ok(match compression {
        Compression::None => basic::Compression::UNCOMPRESSED,
        Compression::Lz4 => basic::Compression::LZ4_RAW,
        Compression::Zstd(level) => basic::Compression::ZSTD(ZstdLevel::try_new(level.into())?),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use parquet::basic::Type;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

    use super::*;
    use crate::sink::table::Table;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    static KEY: Column = Column::required("series_key", Kind::Text, "");
    static KVP: Column = Column::new("kvp", Kind::Float64, "");
    static LOSSY: Column = Column::new("lossy", Kind::Bool, "");
    static SIZES: Column = Column::new("label_sizes", Kind::ListInt32, "");
    static WORDS: Column = Column::new("image_type", Kind::ListText, "");
    static PLACE: Column = Column::new("image_position_patient", Kind::ListFloat64, "");
    static NUMBER: Column = Column::new("instance_number", Kind::Int32, "");

    fn columns() -> Vec<&'static Column> {
        vec![&KEY, &KVP, &LOSSY, &SIZES, &WORDS, &PLACE, &NUMBER]
    }

    fn facts(n: i32) -> Facts {
        let mut facts = Facts::default();
        facts.set(&KEY, format!("{n:032x}"));
        if n % 2 == 0 {
            facts.set(&KVP, f64::from(n));
            facts.set(&LOSSY, n % 4 == 0);
            facts.set(&SIZES, vec![n, 1]);
            facts.set(&WORDS, vec!["AXIAL".to_owned(); n as usize % 3]);
            facts.set(&PLACE, vec![0.5, f64::from(n)]);
            facts.set(&NUMBER, n);
        }
        facts
    }

    fn recipe(dtype: Dtype, layout: Layout, compression: Compression) -> Recipe {
        let mut recipe = Recipe::head();
        recipe.crop_pad.size = 8;
        recipe.output.dtype = dtype;
        recipe.output.layout = layout;
        recipe.output.compression = compression;
        recipe
    }

    /// Rows whose tensors count up from the row's number.
    fn rows(n: i32, dtype: Dtype) -> Vec<Row> {
        let tensor = |n: i32| match dtype {
            Dtype::Uint8 => Pixels::U8(Array3::from_shape_fn((1, 8, 8), |(_, r, c)| (n as usize + r * 8 + c) as u8)),
            Dtype::Int16 => {
                Pixels::I16(Array3::from_shape_fn((1, 8, 8), |(_, r, c)| n as i16 - 1024 + (r * 8 + c) as i16))
            }
        };
        (0..n).map(|n| Row { pixels: tensor(n), facts: facts(n) }).collect()
    }

    fn write(recipe: &Recipe, groups: &[i32]) -> Result<(Table, ParquetMetaData), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("shard.parquet");
        let encoder = RowEncoder::new(recipe, columns())?;
        let mut writer = encoder.file_writer(File::create(&path)?, &[("k", "v".to_owned())])?;
        for n in groups {
            encoder.encode(rows(*n, recipe.output.dtype))?.append_to(&mut writer)?;
        }
        writer.close()?;
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        Ok((table::read(&path)?, reader.parse_and_finish(&File::open(&path)?)?))
    }

    #[test]
    fn rows_come_back_as_they_were() -> Tested {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd(1)] {
            let (table, _) = write(&recipe(Dtype::Uint8, Layout::Binary, compression), &[16, 3])?;
            let image = table.rows.column(0).as_fixed_size_binary();
            assert_eq!(image.len(), 19);
            assert_eq!(image.value(0), (0..64).collect::<Vec<u8>>());
            assert_eq!(image.value(18), (2..66).collect::<Vec<u8>>());
            for (at, column) in columns().iter().enumerate() {
                let array = table.rows.column(at + 1);
                assert_eq!(array.is_null(1), column.nullable, "{}", column.name);
                assert!(array.is_valid(2), "{}", column.name);
            }
            assert_eq!(table.rows.column(1).as_string::<i32>().value(15), format!("{:032x}", 15));
            assert_eq!(table.metadata["k"], "v");
        }
        Ok(())
    }

    #[test]
    fn int16_is_little_endian_and_the_field_says_shape_and_type() -> Tested {
        let recipe = recipe(Dtype::Int16, Layout::Binary, Compression::Zstd(1));
        let (table, _) = write(&recipe, &[1])?;
        let image = table.rows.column(0).as_fixed_size_binary();
        assert_eq!(image.value(0)[..4], [0x00, 0xfc, 0x01, 0xfc], "-1024, -1023");
        let schema = table.rows.schema();
        assert_eq!(schema, arrow_schema(&recipe, &columns())?);
        let metadata = |key: &str| schema.field(0).metadata().get(key).map(ToString::to_string);
        assert_eq!(metadata("shape").as_deref(), Some("[1, 8, 8]"));
        assert_eq!(metadata("dtype").as_deref(), Some("int16"));
        Ok(())
    }

    #[test]
    fn layout_tensor_is_the_canonical_extension_type() -> Tested {
        use arrow_array::types::{Int16Type, UInt8Type};
        let (table, _) = write(&recipe(Dtype::Int16, Layout::Tensor, Compression::Zstd(1)), &[2])?;
        let schema = table.rows.schema();
        assert_eq!(schema.field(0).extension_type_name(), Some("arrow.fixed_shape_tensor"));
        assert_eq!(schema.field(0).extension_type_metadata(), Some("{\"shape\":[1,8,8]}"));
        let image = table.rows.column(0).as_fixed_size_list().value(1);
        assert_eq!(image.as_primitive::<Int16Type>().values()[..2], [-1023, -1022]);
        let (table, _) = write(&recipe(Dtype::Uint8, Layout::Tensor, Compression::None), &[2])?;
        let image = table.rows.column(0).as_fixed_size_list().value(1);
        assert_eq!(image.as_primitive::<UInt8Type>().values()[..2], [1, 2]);
        Ok(())
    }

    #[test]
    fn the_image_has_one_row_per_page_and_no_statistics_and_numbers_have_statistics() -> Tested {
        for layout in [Layout::Binary, Layout::Tensor] {
            let (_, footer) = write(&recipe(Dtype::Uint8, layout, Compression::Zstd(1)), &[16, 3])?;
            assert_eq!(footer.page_index_for_row_group(0).num_data_pages(0), Some(16));
            assert_eq!(footer.page_index_for_row_group(1).num_data_pages(0), Some(3));
            let image = footer.row_group(0).column(0);
            assert!(image.statistics().is_none());
            assert!(image.dictionary_page_offset().is_none());
            let plain = layout == Layout::Binary;
            assert_eq!(image.column_type() == Type::FIXED_LEN_BYTE_ARRAY, plain);
            let kvp = footer.row_group(0).column(2).statistics().ok_or("statistics")?;
            assert_eq!(
                (kvp.min_bytes_opt(), kvp.max_bytes_opt()),
                (Some(&0f64.to_le_bytes()[..]), Some(&14f64.to_le_bytes()[..]))
            );
        }
        Ok(())
    }

    #[test]
    fn a_group_encodes_to_the_bytes_that_the_one_thread_writer_would_write() -> Tested {
        let recipe = recipe(Dtype::Uint8, Layout::Binary, Compression::Zstd(1));
        let encoder = RowEncoder::new(&recipe, columns())?;
        let mut ours = encoder.file_writer(Vec::new(), &[])?;
        encoder.encode(rows(5, Dtype::Uint8))?.append_to(&mut ours)?;
        let facts: Vec<_> = (0..5).map(facts).collect();
        let tensors: Vec<u8> = (0..5).flat_map(|n| n..n + 64).collect();
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(FixedSizeBinaryArray::try_new(64, tensors.into(), None)?)];
        arrays.extend(columns().iter().map(|column| column_values(column, &facts)));
        let batch = RecordBatch::try_new(encoder.schema.clone(), arrays)?;
        let mut theirs = arrow_writer(Vec::new(), &encoder.schema, &columns(), Compression::Zstd(1), &[])?;
        for at in 0..5 {
            theirs.write(&batch.slice(at, 1))?; // one row, one page
        }
        assert!(ours.into_inner()? == theirs.into_inner()?);
        Ok(())
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_a_bug_that_names_it() -> Tested {
        static KVP_AS_TEXT: Column = Column::new("kvp", Kind::Text, "");
        let encoder = RowEncoder::new(&recipe(Dtype::Uint8, Layout::Binary, Compression::None), columns())?;
        let fails = |change: fn(&mut Row)| {
            let mut rows = rows(1, Dtype::Uint8);
            change(&mut rows[0]);
            encoder.encode(rows).expect_err("a bug").to_string()
        };
        assert!(fails(|row| row.facts = Facts::default()).contains("series_key is not set"));
        assert!(fails(|row| row.facts.set(&KVP_AS_TEXT, "x")).contains("kvp holds Text, expected Float64"));
        assert!(fails(|row| row.pixels = Pixels::U8(Array3::zeros((1, 8, 9)))).contains("(1, 8, 9)"));
        assert!(fails(|row| row.pixels = Pixels::I16(Array3::zeros((1, 8, 8)))).contains("expected uint8"));
        Ok(())
    }

    #[test]
    fn a_tensor_in_another_memory_order_is_written_in_c_order() -> Tested {
        let encoder = RowEncoder::new(&recipe(Dtype::Uint8, Layout::Binary, Compression::None), vec![])?;
        let turned = Array3::from_shape_fn((1, 8, 8), |(_, c, r)| (r * 8 + c) as u8).permuted_axes([0, 2, 1]);
        assert!(!turned.is_standard_layout());
        let pair = Array3::from_shape_fn((2, 8, 8), |(n, r, c)| (64 - 64 * n + r * 8 + c) as u8);
        let second = pair.slice_move(ndarray::s![1.., .., ..]);
        for tensor in [turned, second] {
            let array = encoder.tensor(Pixels::U8(tensor))?;
            assert_eq!(array.as_fixed_size_binary().value(0), (0..64).collect::<Vec<u8>>());
        }
        Ok(())
    }
}
