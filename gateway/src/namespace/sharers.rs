//! Tenants who have a part of the read cache of their own, and which of a mount's files are charged to whom.

use moongate_cache::{Owner, Owners, Share};

use super::path;
use crate::config::TenantConfig;

/// Folders of tenants with a share, and whose they are.
#[derive(Clone, Debug, Default)]
pub struct Sharers(Vec<(String, Owner)>);

/// The shares, in the order in which owners are numbered.
pub fn shares(tenants: &[TenantConfig]) -> Vec<Share> {
    let shares = sharing(tenants).map(|tenant| Share {
        name: tenant.name.clone(),
        percent: tenant.cache_share,
    });
    shares.collect()
}

fn sharing(tenants: &[TenantConfig]) -> impl Iterator<Item = &TenantConfig> {
    tenants.iter().filter(|tenant| tenant.cache_share > 0)
}

impl Sharers {
    /// As configured. Paths that are none are refused with the configuration.
    pub fn of(tenants: &[TenantConfig]) -> Self {
        let folders = sharing(tenants).zip(0..).flat_map(|(tenant, place)| {
            let paths = tenant.paths.iter().filter_map(|of| path::normal(of).ok());
            paths.map(move |path| (path, Owner::of_share(place)))
        });
        Self(folders.collect())
    }

    /// To whom the files of a mount are charged.
    pub(super) fn of_mount(&self, mount: &str) -> Owners {
        let Self(folders) = self;
        let of = |(folder, owner): &(String, Owner)| {
            // All of the mount is in the folder, or the folder in it.
            let all = path::within(mount, folder).map(|_| "/");
            let inner = all.or_else(|| path::within(folder, mount))?;
            Some((inner.to_owned(), *owner))
        };
        Owners(folders.iter().filter_map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, paths: &[&str], cache_share: u8) -> TenantConfig {
        TenantConfig {
            name: name.into(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            cache_share,
            ..TenantConfig::default()
        }
    }

    #[test]
    fn files_are_charged_to_the_tenant_whose_folder_they_are_in() {
        let tenants = [
            tenant("none", &["/none"], 0),
            tenant("a", &["/a", "/shared/a/"], 20),
            tenant("b", &["/shared/b"], 30),
        ];
        let names: Vec<_> = shares(&tenants)
            .into_iter()
            .map(|share| (share.name, share.percent))
            .collect();
        assert_eq!(names, [("a".to_owned(), 20), ("b".to_owned(), 30)]);
        let (a, b) = (Owner::of_share(0), Owner::of_share(1));
        let sharers = Sharers::of(&tenants);
        for (mount, owners) in [
            ("/a", vec![("/", a)]),
            ("/a/deep/er", vec![("/", a)]),
            ("/shared", vec![("/a", a), ("/b", b)]),
            ("/shared/bb", vec![]),
            ("/none", vec![]),
            ("/", vec![("/a", a), ("/shared/a", a), ("/shared/b", b)]),
        ] {
            let Owners(found) = sharers.of_mount(mount);
            let found: Vec<_> = found.iter().map(|(path, of)| (&**path, *of)).collect();
            assert_eq!(found, owners, "{mount}");
        }
    }
}
