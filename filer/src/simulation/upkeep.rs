//! Random operations on what is behind the tree: sweeps, the released queue and holds.

use super::world::{Pin, Told, World};
use crate::entry::{Entry, Needle};

impl World {
    pub fn sweep(&mut self) -> Told<()> {
        let rows = 1 + self.rng.below(5) as usize;
        let actual = self.filer()?.sweep(rows).map(drop);
        self.judge("sweep", false, actual, |_| Ok(()))
    }

    pub fn sweep_expired(&mut self) -> Told<()> {
        let rows = 1 + self.rng.below(3) as usize;
        let actual = self.filer()?.sweep_expired(rows, self.now_ns).map(drop);
        self.judge("sweep expired", false, actual, |_| Ok(()))
    }

    /// Hands out, and deletes.
    pub fn released(&mut self) -> Told<()> {
        let (now, max) = (self.now_ns, self.rng.below(4) as usize);
        let rows = match self.filer()?.released(max, now) {
            Ok(rows) => rows,
            Err(error) => return self.judge("released", true, Err::<(), _>(error), |_| Ok(())),
        };
        let model = self.model();
        for needle in rows.iter().flat_map(|row| &row.needles) {
            let pins = self.pins.values().filter(|pin| pin.ends_ns > now);
            if pins.into_iter().any(|pin| pin.needles.contains(needle)) {
                return Err(format!("{needle:?} is held, and was handed out"));
            }
            if model
                .alive(now)
                .values()
                .any(|entry| entry.needles().any(|n| n == *needle))
            {
                return Err(format!("{needle:?} is referred to, and was handed out"));
            }
            self.deleted.insert(*needle);
        }
        self.to_forget = rows.iter().map(|row| row.sequence).collect();
        // What was handed out must not be taken back; what came before it is as durable.
        self.judge("released", true, Ok(()), |_| Ok(()))
    }

    pub fn forget(&mut self) -> Told<()> {
        let sequences = std::mem::take(&mut self.to_forget);
        let rows = super::check::rows_of(self.filer()?, crate::rows::Table::Released)?;
        let forgotten = rows
            .iter()
            .filter(|(key, _)| sequences.iter().any(|s| key == &s.to_be_bytes()));
        let needles: Vec<Needle> = forgotten
            .flat_map(|(_, value)| crate::codec::decode_needles(value).unwrap())
            .collect();
        let actual = self.filer()?.forget(&sequences);
        self.judge("forget", false, actual, |model| {
            needles.iter().for_each(|needle| {
                let _ = model.needles.remove(needle);
            });
            Ok(())
        })
    }

    pub fn hold(&mut self) -> Told<()> {
        let (name, now) = (format!("shard {}", self.rng.below(2)), self.now_ns);
        let secs = 1 + self.rng.below(20);
        let actual = self.filer()?.hold(&name, secs, now);
        let old = self.pins.remove(&name).filter(|pin| pin.ends_ns > now);
        if actual.is_ok() {
            let seen = self.model().alive(now);
            let needles = seen.values().flat_map(Entry::needles).collect();
            let needles = old.map_or(needles, |pin| pin.needles);
            let ends_ns = now + secs * 1_000_000_000;
            self.pins.insert(name.clone(), Pin { ends_ns, needles });
        }
        self.judge(&format!("hold {name} {secs}"), true, actual, |_| Ok(()))
    }

    pub fn drop_hold(&mut self) -> Told<()> {
        let name = format!("shard {}", self.rng.below(2));
        self.pins.remove(&name);
        let actual = self.filer()?.drop_hold(&name);
        self.judge(&format!("drop {name}"), true, actual, |_| Ok(()))
    }
}
