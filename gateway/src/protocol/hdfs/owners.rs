//! Several gateways under one logical name: at which of them a block is read. Each block has the same owners wherever it is asked about, so that
//! its pages are kept once, and without a gateway only its own blocks move (rendezvous hashing: Thaler and Ravishankar, 1998).

use super::token::number;

/// As many as a block of HDFS usually has replicas.
const OWNERS_MAX: usize = 3;

/// The data port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its host, as clients are told it.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// All gateways; none if this one is alone.
#[derive(Debug)]
pub struct Owners(Vec<Peer>);

impl Owners {
    /// Of `HOST:PORT`s.
    pub fn new(names: &[String]) -> Self {
        let peer = |name: &String| {
            let (host, port) = name.rsplit_once(':')?;
            Some(Peer {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: port.parse().ok()?,
            })
        };
        Self(names.iter().filter_map(peer).collect())
    }

    /// Who keeps a block, and who else may be asked, the first one first.
    pub fn of(&self, block_id: u64) -> Vec<&Peer> {
        let Self(peers) = self;
        let mut ranked: Vec<_> = peers
            .iter()
            .map(|peer| (rank(block_id, peer), peer))
            .collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let first = ranked.into_iter().take(OWNERS_MAX);
        first.map(|(_, peer)| peer).collect()
    }
}

fn rank(block_id: u64, peer: &Peer) -> u64 {
    let bytes = [
        &block_id.to_be_bytes(),
        peer.host.as_bytes(),
        &peer.port.to_be_bytes(),
    ];
    number(&bytes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| format!("{host}:9866")).collect()
    }

    #[test]
    fn each_has_its_share_and_only_that_of_one_that_goes_moves() {
        let all = Owners::new(&names(&["a", "b", "c", "d"]));
        let without = Owners::new(&names(&["d", "b", "a"]));
        let mut shares = std::collections::BTreeMap::new();
        for block in 0..4000 {
            let owners = all.of(block);
            assert_eq!(owners.len(), OWNERS_MAX);
            *shares.entry(owners[0].host.as_str()).or_insert(0) += 1;
            let left: Vec<_> = owners.into_iter().filter(|peer| peer.host != "c").collect();
            assert_eq!(without.of(block)[..left.len()], left);
        }
        assert!(
            shares.values().all(|share| (800..1200).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn addresses_of_both_kinds() {
        let owners = Owners::new(&["[::1]:1".to_owned()]);
        let want = Peer {
            host: "::1".to_owned(),
            port: 1,
        };
        assert_eq!(owners.of(7), [&want]);
        assert!(Owners::new(&[]).of(7).is_empty());
    }
}
