//! Whether everything is as the model has it, and every row has its place.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Model;
use crate::changes::row_of;
use crate::codec::{Row, decode_needles};
use crate::entry::{Entry, Needle};
use crate::keys::{ABOVE_ROOT, FolderId, ROOT, split_number};
use crate::rows::Table;
use crate::{FilePath, Filer};

type Told<T> = Result<T, String>;

pub fn rows_of(filer: &Filer, table: Table) -> Told<Vec<(Vec<u8>, Vec<u8>)>> {
    let told = |error| format!("{error}");
    let mut cursor = filer.rows.cursor(table, &[]).map_err(told)?;
    cursor.seek(&[]).map_err(told)?;
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.row() {
        rows.push((key.to_vec(), value.to_vec()));
        cursor.next().map_err(told)?;
    }
    Ok(rows)
}

/// The tree as a walk from the root has it.
pub fn tree(filer: &Filer, now_ns: u64) -> Told<BTreeMap<FilePath, Entry>> {
    let walk = filer.walk(&FilePath::root(), now_ns);
    let mut found = BTreeMap::new();
    let mut last = FilePath::root();
    for step in walk.map_err(|e| e.to_string())? {
        let (path, entry) = step.map_err(|e| e.to_string())?;
        let path = FilePath::parse(&format!("/{path}")).map_err(|e| e.to_string())?;
        if path <= last {
            return Err(format!("the walk gives {path} behind {last}"));
        }
        last = path.clone();
        found.insert(path, entry);
    }
    Ok(found)
}

/// Compares tree and needles.
pub fn equals(filer: &Filer, model: &Model, now_ns: u64) -> Told<()> {
    let (found, wanted) = (tree(filer, now_ns)?, model.alive(now_ns));
    if found != wanted {
        return Err(format!("the tree is {found:#?}\nand not {wanted:#?}"));
    }
    let found = needles(filer)?;
    let odd: Vec<_> = found.symmetric_difference(&model.needles).collect();
    match odd.is_empty() {
        true => Ok(()),
        false => Err(format!("lost or unknown needles: {odd:?}")),
    }
}

/// Every needle there is, in entries and in the queue; an error if one is there twice, or a row has no folder.
fn needles(filer: &Filer) -> Told<BTreeSet<Needle>> {
    let mut all = BTreeSet::new();
    let mut add = |needle: Needle, place: &str| match all.insert(needle) {
        true => Ok(()),
        false => Err(format!("{needle:?} is there twice, and {place}")),
    };
    for row in entries(filer)?.values().flat_map(BTreeMap::values) {
        row.entry
            .needles()
            .try_for_each(|n| add(n, "in an entry"))?;
    }
    for (_, value) in rows_of(filer, Table::Released)? {
        let released = decode_needles(&value).map_err(|e| e.to_string())?;
        released.into_iter().try_for_each(|n| add(n, "released"))?;
    }
    Ok(all)
}

type Folders = BTreeMap<FolderId, BTreeMap<Vec<u8>, Row>>;

/// Every row by its folder, once it is sure that each can be reached from the root or the trash, in one way.
pub fn entries(filer: &Filer) -> Told<Folders> {
    let mut folders = Folders::new();
    for (key, value) in rows_of(filer, Table::Entries)? {
        let (folder, name) = split_number(&key).map_err(|e| e.to_string())?;
        let row = row_of(&key, &value).map_err(|e| e.to_string())?;
        let rows = folders.entry(FolderId(folder)).or_default();
        rows.insert(name.to_vec(), row);
    }
    let mut reached: Vec<FolderId> = vec![ABOVE_ROOT];
    for (key, _) in rows_of(filer, Table::Trash)? {
        let (id, _) = split_number(&key).map_err(|e| e.to_string())?;
        reached.push(FolderId(id));
    }
    let mut at = 0;
    while let Some(folder) = reached.get(at).copied() {
        let rows = folders.get(&folder).into_iter().flat_map(BTreeMap::values);
        reached.extend(rows.filter_map(|row| row.folder));
        at += 1;
        if at > folders.len() + 1000 {
            return Err("folders in a circle".into());
        }
    }
    let unique: BTreeSet<FolderId> = reached.iter().copied().collect();
    if unique.len() != reached.len() || !unique.contains(&ROOT) {
        return Err(format!("folders are reached twice: {reached:?}"));
    }
    match folders.keys().find(|folder| !unique.contains(folder)) {
        Some(lost) => Err(format!("nothing leads to {lost:?}")),
        None => Ok(folders),
    }
}
