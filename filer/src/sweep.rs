//! Emptying what was deleted, and taking away what has expired: in bounded batches, to be called again while there is more. Both
//! go on after a crash where they were.

use crate::changes::{Changes, read_row, row_of};
use crate::filer::{Filer, Result};
use crate::keys::{FolderId, NUMBER_BYTES, entry_key, split_number};
use crate::options::Swept;
use crate::rows::{Cursor, RowsError, Table};

/// The most rows and needles in one batch of a sweep.
const BATCH_ROWS_MAX: usize = 1000;
const BATCH_NEEDLES_MAX: usize = 20_000;

impl Filer {
    /// Empties folders that were deleted: up to `rows_max` rows go, and what they refer to is released. Call it again while it
    /// says that there is more.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    ///
    /// [`FilerError::Storage`]: crate::FilerError::Storage
    /// [`FilerError::Corrupt`]: crate::FilerError::Corrupt
    pub fn sweep(&self, rows_max: usize) -> Result<Swept> {
        let _one = self.sweeping.lock();
        let mut swept = Swept::default();
        // Folders that are found inside come in the next pass.
        loop {
            let mut trash = self.rows.cursor(Table::Trash, &[])?;
            trash.seek(&[])?;
            if trash.row().is_none() {
                return Ok(swept);
            }
            while let Some((key, _)) = trash.row() {
                let folder = FolderId(split_number(key)?.0);
                swept.rows += self.empty(folder, rows_max.saturating_sub(swept.rows))?;
                if swept.rows >= rows_max {
                    swept.more = true;
                    return Ok(swept);
                }
                trash.next()?;
            }
        }
    }

    /// Takes rows out of a folder in the trash, in batches; the folder itself when it is empty, which counts for a row too.
    fn empty(&self, folder: FolderId, rows_max: usize) -> Result<usize> {
        let prefix = entry_key(folder, "");
        let mut cursor = self.rows.cursor(Table::Entries, &prefix)?;
        cursor.seek(&prefix)?;
        let mut rows = 0;
        while rows < rows_max {
            let mut changes = Changes::new(&*self.rows);
            let room = BATCH_ROWS_MAX.min(rows_max - rows);
            rows += take_some(&mut *cursor, &mut changes, room)?;
            let is_empty = cursor.row().is_none();
            if is_empty {
                changes.other(Table::Trash, prefix.clone(), None);
            }
            let _structure = self.locks.structure.read();
            self.commit(changes)?;
            if is_empty {
                return Ok(rows + 1);
            }
        }
        Ok(rows)
    }

    /// Takes away files whose life is over, and releases their content: up to `rows_max`. They are not found before already.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub fn sweep_expired(&self, rows_max: usize, now_ns: u64) -> Result<Swept> {
        let _one = self.sweeping.lock();
        let now_secs = now_ns / 1_000_000_000;
        let mut swept = Swept::default();
        let mut cursor = self.rows.cursor(Table::Expiry, &[])?;
        cursor.seek(&[])?;
        while let Some((key, _)) = cursor.row() {
            let (second, entry_key) = split_number(key)?;
            if second > now_secs {
                break;
            }
            if swept.rows >= rows_max {
                swept.more = true;
                break;
            }
            self.expire(key, entry_key, now_ns)?;
            swept.rows += 1;
            cursor.next()?;
        }
        Ok(swept)
    }

    /// One file. It may have been changed since the cursor was made.
    fn expire(&self, expiry: &[u8], key: &[u8], now_ns: u64) -> Result<()> {
        if key.len() <= NUMBER_BYTES {
            return Err(RowsError("a key of the table of expiries is too short".into()).into());
        }
        let _structure = self.locks.structure.read();
        let _row = self.locks.rows(std::iter::once(key));
        let mut changes = Changes::new(&*self.rows);
        let row = read_row(&*self.rows, key)?;
        let is_over = row.as_ref().is_some_and(|row| row.entry.is_expired(now_ns));
        changes.found(key.to_vec(), row);
        if is_over {
            changes.set(key, None)?;
        }
        changes.other(Table::Expiry, expiry.to_vec(), None);
        self.commit(changes)?;
        Ok(())
    }
}

/// Deletes the next rows in the batch, up to `rows_max`; how many.
fn take_some(cursor: &mut dyn Cursor, changes: &mut Changes<'_>, rows_max: usize) -> Result<usize> {
    let (mut rows, mut needles) = (0, 0);
    while let Some((key, value)) = cursor.row() {
        if rows == rows_max || needles > BATCH_NEEDLES_MAX {
            break;
        }
        let row = row_of(key, value)?;
        needles += row.entry.needles().count();
        if let Some(inner) = row.folder {
            changes.trash(inner);
        }
        changes.found(key.to_vec(), Some(row));
        changes.set(key, None)?;
        rows += 1;
        cursor.next()?;
    }
    Ok(rows)
}
