//! The bytes of pages: in a checkpoint, and in the page file.

use super::bits::Bits;
use super::{PAGE_ENTRIES, Page, Pages};
use crate::bytes::{Reader, Undecodable, Writer};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Millis, Position};

impl Pages {
    /// Everything but the entries that lie in the page file. To be called after [`Pages::spill`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_number(self.closed.len() as u64);
        for (first, page) in &self.closed {
            out.put_number(first.0);
            out.put_number(u64::from(page.length));
            out.put_number(u64::from(page.live));
            out.put_number(page.bytes);
            out.put_number(page.slot.expect("spilled before a checkpoint").0);
            out.put_number(page.index_min.0);
            out.put_number(page.index_max.0 - page.index_min.0);
            out.put_number(page.time.0);
            out.put_option(page.expires, |out, at| out.put_number(at.0));
            out.put_option(page.settled.as_deref(), |out, bits| bits.encode(out));
        }
        out.put_number(self.tail_first.0);
        out.put_number(self.tail_time.0);
        out.put_number(self.tail.len() as u64);
        for entry in &self.tail {
            out.extend_from_slice(&entry.to_bytes());
        }
        self.tail_settled.encode(out);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Pages, Undecodable> {
        let mut pages = Pages::default();
        for _ in 0..reader.count()? {
            let first = Position(reader.number()?);
            let length = u16::try_from(reader.number()?).map_err(|_| Undecodable("page"))?;
            let live = u16::try_from(reader.number()?).map_err(|_| Undecodable("page"))?;
            if live == 0 || live > length || usize::from(length) > PAGE_ENTRIES {
                return Err(Undecodable("page length"));
            }
            let bytes = reader.number()?;
            pages.closed_bytes = pages.closed_bytes.saturating_add(bytes);
            let slot = Some(PageSlot(reader.number()?));
            let index_min = Index(reader.number()?);
            let index_max = Index(index_min.0.saturating_add(reader.number()?));
            let time = Millis(reader.number()?);
            let expires = reader.option(|r| r.number().map(Millis))?;
            let settled = reader.option(Bits::decode)?.map(Box::new);
            pages.live += u64::from(live);
            let page = Page {
                length,
                live,
                bytes,
                settled,
                entries: None,
                slot,
                index_min,
                index_max,
                time,
                expires,
            };
            pages.closed.insert(first, page);
        }
        pages.tail_first = Position(reader.number()?);
        pages.tail_time = Millis(reader.number()?);
        let count = reader.count()?;
        if count > PAGE_ENTRIES {
            return Err(Undecodable("page tail"));
        }
        pages.tail.reserve_exact(count);
        for _ in 0..count {
            pages.tail.push(entry(reader)?);
        }
        pages.tail_settled = Bits::decode(reader)?;
        let live = (0..count).filter(|at| !pages.tail_settled.get(*at)).count();
        pages.tail_live = live as u16;
        pages.live += live as u64;
        Ok(pages)
    }
}

pub fn entry(reader: &mut Reader<'_>) -> Result<Entry, Undecodable> {
    Ok(entry_from(reader.take(Entry::BYTES)?))
}

fn entry_from(bytes: &[u8]) -> Entry {
    Entry::from_bytes(bytes.try_into().expect("sixteen bytes were taken"))
}

/// The entries of a page as they came from the page file.
pub fn entries_from(bytes: &[u8]) -> Result<Box<[Entry]>, Undecodable> {
    let is_whole = bytes.len().is_multiple_of(Entry::BYTES);
    if bytes.is_empty() || bytes.len() > PAGE_ENTRIES * Entry::BYTES || !is_whole {
        return Err(Undecodable("page"));
    }
    Ok(bytes.chunks_exact(Entry::BYTES).map(entry_from).collect())
}
