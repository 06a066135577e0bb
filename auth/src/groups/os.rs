//! Groups as this machine knows them (`/etc/group`, or what its NSS asks): `getgrouplist` on a thread that may wait.

use std::ffi::CString;
use std::time::Duration;

use nix::unistd::{Group, User, getgrouplist};

use super::Found;

/// NSS may ask a server that does not answer; the thread is then left to it.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn find(user: &str) -> Found {
    let user = user.to_owned();
    let asked = tokio::task::spawn_blocking(move || ask(&user));
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(Ok(Ok(found))) => found,
        Ok(Ok(Err(errno))) => Found::Failed(errno.to_string()),
        Ok(Err(_)) => Found::Failed("the lookup broke off".to_owned()),
        Err(_) => Found::Failed("no answer of the operating system within 10 s".to_owned()),
    }
}

fn ask(name: &str) -> nix::Result<Found> {
    let Ok(c_name) = CString::new(name) else {
        return Ok(Found::Nobody);
    };
    let Some(user) = User::from_name(name)? else {
        return Ok(Found::Nobody);
    };
    let mut groups = Vec::new();
    for id in getgrouplist(&c_name, user.gid)? {
        // A group without a name: no policy can mean it.
        if let Some(group) = Group::from_gid(id)? {
            groups.push(group.name);
        }
    }
    Ok(Found::Groups(groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn root_has_its_group_and_a_stranger_none() {
        let Found::Groups(groups) = find("root").await else {
            panic!("every system knows root");
        };
        assert!(groups.iter().any(|group| group == "root"));
        assert_eq!(find("no-such-user-here").await, Found::Nobody);
        assert_eq!(find("nul\0byte").await, Found::Nobody);
    }
}
