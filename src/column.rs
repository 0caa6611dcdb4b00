//! Columns and their values: declared once, beside the code that fills them.

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit IEEE float.
    Float64,
    /// A word of a closed vocabulary, a pattern-checked short code, or lower-case hex.
    Text,
    /// A list of 32-bit signed integers.
    ListInt32,
    /// A list of 64-bit floats.
    ListFloat64,
    /// A list of short words, as `Text`.
    ListText,
}

/// One column of a shard, apart from `image`.
///
/// Columns are `static` items beside the code that fills them; the Arrow schema,
/// `schemas/slice.schema.json` and `schemas/columns.md` are printed from the same items.
#[derive(Debug)]
pub struct Column {
    /// The field's own name: a DICOM keyword in snake case where there is one.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// False for columns that every row fills.
    pub nullable: bool,
    /// One sentence: what it is, its unit, its rounding.
    pub doc: &'static str,
}

impl Column {
    /// A column that may be null.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Column {
        Column { name, kind, nullable: true, doc }
    }

    /// A column that every row fills.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Column {
        Column { name, kind, nullable: false, doc }
    }
}

/// One value of one column.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are those of Kind")]
pub enum Value {
    Bool(bool),
    Int32(i32),
    Float64(f64),
    Text(String),
    ListInt32(Vec<i32>),
    ListFloat64(Vec<f64>),
    ListText(Vec<String>),
}

impl Value {
    /// The kind of column this value fits.
    pub const fn kind(&self) -> Kind {
        match self {
            Value::Bool(_) => Kind::Bool,
            Value::Int32(_) => Kind::Int32,
            Value::Float64(_) => Kind::Float64,
            Value::Text(_) => Kind::Text,
            Value::ListInt32(_) => Kind::ListInt32,
            Value::ListFloat64(_) => Kind::ListFloat64,
            Value::ListText(_) => Kind::ListText,
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$from> for Value { fn from(value: $from) -> Value { Value::$variant(value.into()) } })+
    };
}
value_from! {
    bool => Bool, i32 => Int32, f64 => Float64, String => Text, &str => Text,
    Vec<i32> => ListInt32, Vec<f64> => ListFloat64, Vec<String> => ListText,
}

/// The values that the stages found out about one slice, in the order they were found.
///
/// A value that was never set is null. Setting a column twice keeps the last value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    /// Sets `column` to `value`.
    pub fn set(&mut self, column: &'static Column, value: impl Into<Value>) {
        let value = value.into();
        debug_assert_eq!(value.kind(), column.kind, "{}", column.name);
        match self.0.iter_mut().find(|(name, _)| *name == column.name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((column.name, value)),
        }
    }

    /// Sets `column` where there is a value, and leaves it null where there is none.
    pub fn set_some(&mut self, column: &'static Column, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }

    /// The value of the column of this name; `None` is null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Every value that is set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}
