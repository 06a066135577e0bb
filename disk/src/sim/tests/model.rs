//! Without faults the simulated disk answers as the operating system's does.

use super::*;
use crate::RealDisk;
use proptest::prelude::*;
use tempfile::TempDir;

const PATHS: [&str; 5] = ["a", "b", "d/a", "d/b", "d"];

#[derive(Clone, Debug)]
enum Action {
    Open(usize, OpenMode),
    Write { offset: u16, len: u16, byte: u8 },
    SetLen(u16),
    Read { offset: u16, len: u16 },
    Sync,
    Reserve,
    Rename(usize, usize),
    Remove(usize),
    List(usize),
    Exists(usize),
    MakeDirectory,
    SyncDirectory,
}

fn action() -> impl Strategy<Value = Action> {
    let path = || 0..PATHS.len();
    let mode = prop::sample::select(vec![
        OpenMode::Read,
        OpenMode::ReadWrite,
        OpenMode::CreateNew,
        OpenMode::CreateOrTruncate,
    ]);
    let write = (0..3000_u16, 0..3000_u16, any::<u8>());
    prop_oneof![
        3 => (path(), mode).prop_map(|(path, mode)| Action::Open(path, mode)),
        4 => write.prop_map(|(offset, len, byte)| Action::Write { offset, len, byte }),
        1 => (0..3000_u16).prop_map(Action::SetLen),
        2 => (0..5000_u16, 0..3000_u16).prop_map(|(offset, len)| Action::Read { offset, len }),
        1 => Just(Action::Sync),
        1 => Just(Action::Reserve),
        2 => (path(), path()).prop_map(|(from, to)| Action::Rename(from, to)),
        1 => path().prop_map(Action::Remove),
        1 => path().prop_map(Action::List),
        1 => path().prop_map(Action::Exists),
        1 => Just(Action::MakeDirectory),
        1 => Just(Action::SyncDirectory),
    ]
}

/// One disk and the file that was opened last.
struct Side<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    file: Option<Arc<dyn DiskFile>>,
}

impl Side<'_> {
    /// What the caller sees of an action, as text.
    fn answer(&mut self, action: &Action) -> io::Result<String> {
        let path = |number: usize| self.root.join(PATHS[number]);
        let told = |()| String::new();
        match *action {
            Action::Open(number, mode) => {
                self.file = Some(self.disk.open(&path(number), mode)?);
                Ok(String::new())
            }
            Action::Rename(from, to) => self.disk.rename(&path(from), &path(to)).map(told),
            Action::Remove(number) => self.disk.remove(&path(number)).map(told),
            Action::List(number) => Ok(format!("{:?}", self.disk.list(&path(number))?)),
            Action::Exists(number) => Ok(self.disk.exists(&path(number))?.to_string()),
            Action::MakeDirectory => self.disk.create_dir_all(&self.root.join("d")).map(told),
            Action::SyncDirectory => self.disk.sync_dir(self.root).map(told),
            _ => self.answer_of_file(action),
        }
    }

    fn answer_of_file(&self, action: &Action) -> io::Result<String> {
        let Some(file) = &self.file else {
            return Ok(String::new());
        };
        match *action {
            Action::Write { offset, len, byte } => {
                file.write_all_at(&vec![byte; len.into()], offset.into())?
            }
            Action::SetLen(len) => file.set_len(len.into())?,
            Action::Sync => file.sync_data()?,
            Action::Reserve => file.reserve(0, 10_000)?,
            Action::Read { offset, len } => {
                let mut bytes = vec![0; len.into()];
                let count = file.read_at(&mut bytes, offset.into())?;
                return Ok(format!("{count} {bytes:?}"));
            }
            _ => {}
        }
        Ok(file.len()?.to_string())
    }

    fn contents(&self, dir: &Path) -> Vec<(String, Vec<u8>)> {
        let names = self.disk.list(dir).unwrap_or_default();
        let content = |name: String| {
            let file = self.disk.open(&dir.join(&name), OpenMode::Read).unwrap();
            let len = file.len().unwrap() as usize;
            (name, read_exact_at(&*file, 0, len).unwrap())
        };
        names.into_iter().map(content).collect()
    }
}

/// Directories can not be opened, renamed or removed here; the two disks refuse with different words.
fn is_about_a_directory(action: &Action) -> bool {
    match action {
        Action::Open(path, _) | Action::Remove(path) => *path == 4,
        Action::Rename(from, to) => *from == 4 || *to == 4,
        Action::List(path) => *path != 4,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn it_answers_as_the_real_disk(actions in prop::collection::vec(action(), 1..60)) {
        let dir = TempDir::new().unwrap();
        let sim = SimDisk::new(1);
        let mut real = Side { disk: &RealDisk, root: dir.path(), file: None };
        let mut simulated = Side { disk: &sim, root: Path::new("/"), file: None };
        for action in actions.iter().filter(|action| !is_about_a_directory(action)) {
            let expected = real.answer(action).map_err(|e| e.kind());
            let answer = simulated.answer(action).map_err(|e| e.kind());
            prop_assert_eq!(answer, expected, "{:?}", action);
            prop_assert_eq!(simulated.contents(Path::new("/")), real.contents(dir.path()));
            prop_assert_eq!(simulated.contents(Path::new("/d")), real.contents(&dir.path().join("d")));
        }
    }
}
