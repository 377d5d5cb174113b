//! Reading the messages of a block: first which templates it has, then their rows and words where these are needed.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use store::StoreError;

use super::block_templates::{BlockTemplates, Words};
use super::cache::Opened;
use super::index::IndexBlock;
use super::messages::Dictionary;
use super::read::Segment;

impl Segment {
    /// The templates of this file's messages, those that a block has, and the bytes that were read for these.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn templates(&self, block: usize) -> Result<(Arc<Dictionary>, BlockTemplates, u64), StoreError> {
        let opened = self.opened()?;
        let stored = self.index_block(&opened, block)?;
        let dictionary = self.dictionary(&opened)?;
        let templates = self.block_templates(&opened, stored, &dictionary)?;
        Ok((dictionary, templates, stored.templates.len.into()))
    }

    /// For each row of a block the place of its template among those of the block, and the bytes that were read.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn template_rows(
        &self,
        block: usize,
        templates: &BlockTemplates,
    ) -> Result<(Vec<u16>, u64), StoreError> {
        let opened = self.opened()?;
        let stored = self.index_block(&opened, block)?;
        Ok((self.rows(&opened, stored, templates)?, stored.rows.len.into()))
    }

    /// The words of the templates `wanted` (by place), and the bytes that were read.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn words_of(
        &self,
        block: usize,
        templates: &BlockTemplates,
        wanted: Vec<bool>,
    ) -> Result<(Words, u64), StoreError> {
        self.read_words(&*self.opened()?, block, templates, wanted)
    }

    /// The words that stand in holes of the templates of a block's messages, in parts, each word on a line, with some
    /// marks between; and the bytes that were read.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn words(&self, block: usize) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
        let opened = self.opened()?;
        let stored = self.index_block(&opened, block)?;
        let parts = stored.words.iter().map(|part| self.frame(&opened, *part)).collect::<Result<_, _>>()?;
        Ok((parts, stored.words.iter().map(|part| u64::from(part.len)).sum()))
    }

    /// The batch with whole messages in column `at`, where those stand that have no template; and the bytes that were
    /// read for it.
    pub(super) fn with_messages(
        &self,
        opened: &Opened,
        block: usize,
        batch: RecordBatch,
        at: usize,
        wanted: &[u32],
    ) -> Result<(RecordBatch, u64), StoreError> {
        let unreadable = || self.corrupt(format!("the messages of block {block} can't be read"));
        let stored = self.index_block(opened, block)?;
        let dictionary = self.dictionary(opened)?;
        let templates = self.block_templates(opened, stored, &dictionary)?;
        let places = self.rows(opened, stored, &templates)?;
        let (words, bytes) = self.read_words(opened, block, &templates, templates.places_of(&places, wanted))?;
        let bytes = bytes + u64::from(stored.templates.len) + u64::from(stored.rows.len);
        let rest = batch.column(at).as_string_opt().ok_or_else(|| self.corrupt("its messages are no text"))?;
        let messages = templates.messages(&dictionary, &places, &words, wanted, rest);
        let messages = messages.ok_or_else(unreadable)?;
        let (schema, mut arrays, _) = batch.into_parts();
        arrays[at] = Arc::new(messages);
        Ok((RecordBatch::try_new(schema, arrays).map_err(|e| self.corrupt(e))?, bytes))
    }

    fn read_words(
        &self,
        opened: &Opened,
        block: usize,
        templates: &BlockTemplates,
        wanted: Vec<bool>,
    ) -> Result<(Words, u64), StoreError> {
        let stored = self.index_block(opened, block)?;
        let lengths: Vec<u32> = stored.words.iter().map(|part| part.plain).collect();
        let words = templates.words_of(wanted, &lengths);
        let mut words = words.ok_or_else(|| self.corrupt(format!("the words of block {block} can't be found")))?;
        let mut bytes = 0;
        for (part, needed) in stored.words.iter().zip(&words.needed) {
            bytes += if *needed { u64::from(part.len) } else { 0 };
            words.parts.push(needed.then(|| self.frame(opened, *part)).transpose()?);
        }
        Ok((words, bytes))
    }

    pub(super) fn block_templates(
        &self,
        opened: &Opened,
        block: &IndexBlock,
        dictionary: &Dictionary,
    ) -> Result<BlockTemplates, StoreError> {
        let plain = self.frame(opened, block.templates)?;
        let templates = BlockTemplates::decode(&plain, block.meta.rows, dictionary);
        templates.ok_or_else(|| self.corrupt("the templates of a block can't be read"))
    }

    fn rows(&self, opened: &Opened, block: &IndexBlock, templates: &BlockTemplates) -> Result<Vec<u16>, StoreError> {
        let rows = templates.decode_rows(&self.frame(opened, block.rows)?, block.meta.rows);
        rows.ok_or_else(|| self.corrupt("the templates of a block's rows can't be read"))
    }

    pub(super) fn dictionary(&self, opened: &Opened) -> Result<Arc<Dictionary>, StoreError> {
        if let Some(dictionary) = &*opened.dictionary.lock() {
            return Ok(dictionary.clone());
        }
        let plain = self.frame(opened, opened.index.dictionary)?;
        let dictionary = Dictionary::decode(&plain).ok_or_else(|| self.corrupt("its templates can't be read"))?;
        let dictionary = Arc::new(dictionary);
        *opened.dictionary.lock() = Some(dictionary.clone());
        self.cache.make_room();
        Ok(dictionary)
    }
}
