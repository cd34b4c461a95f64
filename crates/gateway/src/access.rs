//! Who may come in, and what they may do. One question for every door.

/// Someone who has come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub name: Box<str>,
    pub tags: Vec<Box<str>>,
}

/// What somebody wants to do with a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Configure,
    Write,
    Read,
}

/// The thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource<'a> {
    Address(&'a str),
    Queue(&'a str),
    Group(&'a str),
}

/// The name or the password is wrong, or the user may not come from there. Which of them is for
/// the log, not for the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied;

/// The one authority for every door.
pub trait Access {
    fn authenticate(
        &self,
        name: &str,
        password: &[u8],
        from_loopback: bool,
    ) -> Result<User, Denied>;

    /// A peer that brings no credentials at all, as OpenWire and RocketMQ allow from this
    /// machine.
    fn anonymous(&self, from_loopback: bool) -> Result<User, Denied>;

    fn authorize(&self, user: &User, action: Action, resource: Resource<'_>) -> bool;
}
