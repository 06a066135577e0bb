//! Users, groups and roles as numbers, and who has which roles.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::context::Truth;
use super::model::{PolicyItem, Roles};
use crate::identity::Groups;

type Names = HashMap<Box<str>, u32, RandomState>;

/// All names of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Principals {
    users: Names,
    groups: Names,
    roles: Names,
    /// Roles of a user or a group, by its number.
    roles_of: Vec<Box<[u32]>>,
    /// Roles that everybody has.
    roles_of_all: Box<[u32]>,
    /// Roles that a group gives.
    by_group: BTreeSet<u32>,
    /// Whether something is about the owner of a path.
    pub(super) names_owner: bool,
}

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
    Role,
}

/// Who asks, in the numbers of a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    ids: SmallVec<[u32; 32]>,
    mask: u64,
    /// The groups could not be looked up.
    unknown_groups: bool,
}

/// Whom an item or a list is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    ids: Box<[u32]>,
    mask: u64,
    /// Everybody.
    all: bool,
    /// Every user who has a name.
    user: bool,
    /// The owner of the path.
    owner: bool,
    /// A group, or a role that a group gives, is among them.
    by_group: bool,
}

/// One bit of 64 for a number: two sets without a common bit have no common number.
const fn bit(id: u32) -> u64 {
    1 << (id.wrapping_mul(0x9E37_79B1) >> 26)
}

impl Principals {
    /// The number of a name; a new one for a new name.
    pub(super) fn intern(&mut self, kind: Kind, name: &str) -> u32 {
        let next = u32::try_from(self.roles_of.len()).unwrap_or(u32::MAX);
        let names = match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
            Kind::Role => &mut self.roles,
        };
        if let Some(id) = names.get(name) {
            return *id;
        }
        names.insert(name.into(), next);
        self.roles_of.push(Box::default());
        next
    }

    /// Takes in who has which roles. To be done before any [`Who`] is made.
    pub(super) fn take_roles(&mut self, roles: &Roles) {
        let mut given: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut to_all = BTreeSet::new();
        let by_name: HashMap<&str, Vec<usize>> = {
            let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
            for (place, role) in roles.ranger_roles.iter().enumerate() {
                found.entry(&role.name).or_default().push(place);
            }
            found
        };
        for role in &roles.ranger_roles {
            let id = self.intern(Kind::Role, &role.name);
            for place in contained(roles, &by_name, &role.name) {
                let Some(inner) = roles.ranger_roles.get(place) else {
                    continue;
                };
                for user in &inner.users {
                    let user = self.intern(Kind::User, &user.name);
                    given.entry(user).or_default().insert(id);
                }
                for group in &inner.groups {
                    if group.name == PUBLIC {
                        to_all.insert(id);
                    }
                    self.by_group.insert(id);
                    let group = self.intern(Kind::Group, &group.name);
                    given.entry(group).or_default().insert(id);
                }
            }
        }
        self.roles_of_all = to_all.into_iter().collect();
        for (of, roles) in given {
            if let Some(place) = self.roles_of.get_mut(of as usize) {
                *place = roles.into_iter().collect();
            }
        }
    }

    /// Who a user with these groups is here.
    pub(super) fn subject(&self, user: &str, groups: &Groups) -> Subject {
        let mut subject = Subject {
            unknown_groups: matches!(groups, Groups::Unknown),
            ..Subject::default()
        };
        let user = self.users.get(user);
        let groups = groups.names().iter().map(|group| self.groups.get(&**group));
        for id in std::iter::once(user).chain(groups).flatten() {
            subject.add(*id);
            for role in self.roles_of.get(*id as usize).into_iter().flatten() {
                subject.add(*role);
            }
        }
        for role in &self.roles_of_all {
            subject.add(*role);
        }
        subject
    }

    /// Whom an item is about.
    pub(super) fn who(&mut self, item: &PolicyItem) -> Who {
        self.who_of(&item.users, &item.groups, &item.roles)
    }

    /// Whom three lists are about.
    pub(super) fn who_of(&mut self, users: &[String], groups: &[String], roles: &[String]) -> Who {
        let mut who = Who::default();
        let mut ids = BTreeSet::new();
        for user in users {
            match user.as_str() {
                "{USER}" => who.user = true,
                "{OWNER}" => {
                    who.owner = true;
                    self.names_owner = true;
                }
                name => drop(ids.insert(self.intern(Kind::User, name))),
            }
        }
        for group in groups {
            who.all |= group == PUBLIC;
            who.by_group = true;
            ids.insert(self.intern(Kind::Group, group));
        }
        for role in roles {
            let id = self.intern(Kind::Role, role);
            who.by_group |= self.by_group.contains(&id);
            ids.insert(id);
        }
        who.mask = ids.iter().fold(0, |mask, id| mask | bit(*id));
        who.ids = ids.into_iter().collect();
        who
    }
}

/// The group that everybody is in.
const PUBLIC: &str = "public";

/// A role and all that it contains, however deep; circles are walked once.
fn contained(roles: &Roles, by_name: &HashMap<&str, Vec<usize>>, name: &str) -> Vec<usize> {
    let mut todo = by_name.get(name).cloned().unwrap_or_default();
    let mut found = BTreeSet::new();
    while let Some(place) = todo.pop() {
        if !found.insert(place) {
            continue;
        }
        let inner = roles.ranger_roles.get(place).map(|role| &role.roles);
        for role in inner.into_iter().flatten() {
            todo.extend(by_name.get(role.name.as_str()).into_iter().flatten());
        }
    }
    found.into_iter().collect()
}

impl Subject {
    fn add(&mut self, id: u32) {
        if !self.ids.contains(&id) {
            self.ids.push(id);
            self.mask |= bit(id);
        }
    }
}

impl Who {
    /// Whether somebody is among them.
    pub(super) fn includes(&self, subject: &Subject, user: &str, owner: Option<&str>) -> Truth {
        if self.all
            || (self.user && !user.is_empty())
            || (self.owner && !user.is_empty() && owner == Some(user))
            || self.names(subject)
        {
            return Truth::Yes;
        }
        if self.by_group && subject.unknown_groups {
            return Truth::Unknown;
        }
        Truth::No
    }

    fn names(&self, subject: &Subject) -> bool {
        self.mask & subject.mask != 0 && self.ids.iter().any(|id| subject.ids.contains(id))
    }

    /// Whether nobody is named.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.all && !self.user && !self.owner
    }

    /// Bits of all who may be meant: somebody without a common bit is not.
    pub(super) const fn reach(&self) -> Reach {
        Reach {
            mask: self.mask,
            anybody: self.all || self.user || self.owner,
            by_group: self.by_group,
        }
    }
}

/// Whom a whole policy may be about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    mask: u64,
    anybody: bool,
    by_group: bool,
}

impl Reach {
    /// Of everybody.
    pub(super) const ALL: Self = Self {
        mask: u64::MAX,
        anybody: true,
        by_group: true,
    };

    /// Both.
    pub(super) const fn with(self, other: Self) -> Self {
        Self {
            mask: self.mask | other.mask,
            anybody: self.anybody || other.anybody,
            by_group: self.by_group || other.by_group,
        }
    }

    /// False if somebody is not meant for certain.
    pub(super) const fn may_include(self, subject: &Subject) -> bool {
        self.anybody || self.mask & subject.mask != 0 || (self.by_group && subject.unknown_groups)
    }
}
