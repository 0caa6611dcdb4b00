//! Columns from a header, and the count of what could not be taken.

use dicom_core::Tag;

use super::header::Header;
use crate::column::{Column, Facts, Value};

/// Fills columns from the header of one frame. An attribute that is there but cannot be taken leaves
/// its column null, and is counted; the slice is none the worse.
pub(crate) struct Filling<'a> {
    pub(crate) facts: &'a mut Facts,
    pub(crate) header: &'a Header,
    pub(crate) frame: u32,
    /// Attributes that are there but could not be taken.
    pub(crate) unreadable: i32,
}

impl Filling<'_> {
    /// Sets `column` to what was made of `tag`.
    pub(crate) fn set(&mut self, column: &'static Column, tag: Tag, value: Option<impl Into<Value>>) {
        self.note(tag, value.is_some());
        self.facts.set_some(column, value);
    }

    /// Sets `column` to a number in `range`.
    pub(crate) fn number(&mut self, column: &'static Column, tag: Tag, range: impl Fn(f64) -> bool) {
        let value = self.header.value(self.frame, tag).filter(|&value| range(value));
        self.set(column, tag, value);
    }

    /// The same of the first of two attributes that has one.
    pub(crate) fn number_of(&mut self, column: &'static Column, tags: [Tag; 2], range: impl Fn(f64) -> bool) {
        let value = |tag| self.header.value(self.frame, tag).filter(|&value| range(value));
        let values = tags.map(value);
        tags.iter().zip(values).for_each(|(&tag, value)| self.note(tag, value.is_some()));
        self.facts.set_some(column, values.into_iter().flatten().next());
    }

    /// Sets `column` to what `vocabulary` makes of a text.
    pub(crate) fn word<W: Into<Value>>(
        &mut self,
        column: &'static Column,
        tag: Tag,
        vocabulary: impl Fn(&[u8]) -> Option<W>,
    ) {
        let word = self.header.text(self.frame, tag).and_then(vocabulary);
        self.set(column, tag, word);
    }

    /// Sets `column` to a whole number.
    pub(crate) fn integer(&mut self, column: &'static Column, tag: Tag) {
        self.set(column, tag, self.header.integer(self.frame, tag));
    }

    /// Counts `tag` where it is there and was not taken.
    pub(crate) fn note(&mut self, tag: Tag, is_taken: bool) {
        self.unreadable += i32::from(!is_taken && self.header.is_given(self.frame, tag));
    }
}
