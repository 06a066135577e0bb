//! Emptying what was deleted, and taking away what has expired: in bounded batches, to be called again while there is more. Both
//! go on after a crash where they were.

use crate::changes::{Changes, read_row, row_of};
use crate::filer::{Filer, Result};
use crate::keys::{FolderId, NUMBER_BYTES, entry_key, split_number};
use crate::options::Swept;
use crate::rows::{RowsError, Table};

/// The most rows and needles in one batch of a sweep.
const BATCH_ROWS_MAX: usize = 1000;
const BATCH_NEEDLES_MAX: usize = 20_000;

impl Filer {
    /// Empties folders that were deleted: up to about `rows_max` rows go, and what they refer to is released. Call it again while it
    /// says that there is more.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
    pub fn sweep(&self, rows_max: usize) -> Result<Swept> {
        let _one = self.sweeping.lock();
        let mut swept = Swept::default();
        while swept.rows < rows_max {
            let Some(folder) = self.first_in_trash()? else {
                return Ok(swept);
            };
            swept.rows += self.sweep_some(folder, rows_max - swept.rows)?;
        }
        swept.more = self.first_in_trash()?.is_some();
        Ok(swept)
    }

    fn first_in_trash(&self) -> Result<Option<FolderId>> {
        let mut cursor = self.rows.cursor(Table::Trash, &[])?;
        cursor.seek(&[])?;
        let first = cursor.row().map(|(key, _)| split_number(key)).transpose()?;
        Ok(first.map(|(id, _)| FolderId(id)))
    }

    /// Takes one batch out of a folder; the folder itself when it is empty, which counts for a row too.
    fn sweep_some(&self, folder: FolderId, rows_max: usize) -> Result<usize> {
        let _structure = self.locks.structure.read();
        let mut changes = Changes::new(&*self.rows);
        let prefix = entry_key(folder, "");
        let mut cursor = self.rows.cursor(Table::Entries, &prefix)?;
        cursor.seek(&prefix)?;
        let (mut rows, mut needles) = (0, 0);
        while let Some((key, value)) = cursor.row() {
            if rows == rows_max.min(BATCH_ROWS_MAX) || needles > BATCH_NEEDLES_MAX {
                self.commit(changes)?;
                return Ok(rows);
            }
            let row = row_of(key, value)?;
            needles += row.entry.needles().count();
            if let Some(inner) = row.folder {
                changes.trash(inner);
            }
            changes.found(key.to_vec(), Some(row));
            changes.set(key.to_vec(), None)?;
            rows += 1;
            cursor.next()?;
        }
        changes.other(Table::Trash, prefix, None);
        self.commit(changes)?;
        Ok(rows + 1)
    }

    /// Takes away files whose life is over, and releases their content: up to `rows_max`. They are not found before already.
    ///
    /// # Errors
    /// [`FilerError::Storage`], [`FilerError::Corrupt`].
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
            changes.set(key.to_vec(), None)?;
        }
        changes.other(Table::Expiry, expiry.to_vec(), None);
        self.commit(changes)?;
        Ok(())
    }
}
