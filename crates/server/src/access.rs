//! Who may come in: the users of the topology, asked by every door in the same words.

use broker::id::Millis;
use broker::topology::Topology;
use gateway::access::{Access, Action, Denied, Resource, User};

use crate::password;
use crate::throttle::Throttle;

/// The name under which a peer without credentials is known.
const ANONYMOUS: &str = "anonymous";

/// Characters of a refused name that the log shows.
const NAME_SHOWN_MAX: usize = 128;

/// A hash that no password has been seen to give: unknown names take as long as known ones.
const NOBODY: &str = "sha256$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The authority, as of one topology.
pub(crate) struct Gate<'a> {
    topology: &'a Topology,
    now: Millis,
    /// Anybody can be refused as often as he likes; the log tells of some.
    refused: &'a Throttle,
}

impl<'a> Gate<'a> {
    pub fn new(topology: &'a Topology, now: Millis, refused: &'a Throttle) -> Gate<'a> {
        Gate {
            topology,
            now,
            refused,
        }
    }

    fn note_refusal(&self, user: &str, from_loopback: bool, reason: &str) {
        let Some(untold) = self.refused.line(self.now) else {
            return;
        };
        // A name is as long as the frame that brought it.
        let user: String = user.chars().take(NAME_SHOWN_MAX).collect();
        tracing::warn!(user, from_loopback, reason, untold, "login refused");
    }
}

impl Access for Gate<'_> {
    fn authenticate(
        &self,
        name: &str,
        password: &[u8],
        from_loopback: bool,
    ) -> Result<User, Denied> {
        let user = self.topology.user(name);
        let hash = user.map_or(NOBODY, |user| &user.password_hash);
        let proven = password::verify(password, hash);
        let reason = match user {
            None => "no such user",
            Some(_) if password.is_empty() => "blank password",
            Some(_) if !proven => "wrong password",
            Some(user) if user.loopback_only && !from_loopback => "user may only come from here",
            Some(user) => {
                let tags = user.tags.iter().map(|tag| Box::from(&**tag)).collect();
                return Ok(User {
                    name: name.into(),
                    tags,
                });
            }
        };
        self.note_refusal(name, from_loopback, reason);
        Err(Denied)
    }

    fn anonymous(&self, from_loopback: bool) -> Result<User, Denied> {
        if from_loopback {
            return Ok(User {
                name: ANONYMOUS.into(),
                tags: Vec::new(),
            });
        }
        self.note_refusal(ANONYMOUS, from_loopback, "no credentials");
        Err(Denied)
    }

    /// There is one namespace and no permissions yet: who has come in may do everything.
    fn authorize(&self, _user: &User, action: Action, _resource: Resource<'_>) -> bool {
        match action {
            Action::Configure | Action::Write | Action::Read => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use broker::topology::{Limits, TopologyFact, UserSpec};

    use super::*;

    #[test]
    fn who_may_come_in_from_where() {
        let mut topology = Topology::new(&[], |_| None, Limits::default());
        for (name, password, loopback_only) in [
            ("guest", "guest", true),
            ("ann", "sesame", false),
            ("blank", "", false),
        ] {
            topology.apply(&TopologyFact::UserSet(UserSpec {
                name: name.into(),
                password_hash: password::hash(password.as_bytes()).unwrap().into(),
                tags: vec!["administrator".into()],
                loopback_only,
            }));
        }
        let refused = Throttle::default();
        let gate = Gate::new(&topology, Millis(0), &refused);
        for (name, password, from_loopback, admitted) in [
            ("guest", "guest", true, true),
            ("guest", "guest", false, false),
            ("guest", "sesame", true, false),
            ("guest", "", true, false),
            ("ann", "sesame", false, true),
            ("ann", "sesame", true, true),
            ("ann", "guest", true, false),
            ("blank", "", true, false),
            ("nobody", "guest", true, false),
            ("", "", true, false),
        ] {
            let answer = gate.authenticate(name, password.as_bytes(), from_loopback);
            assert_eq!(
                answer.is_ok(),
                admitted,
                "{name}/{password} loopback={from_loopback}"
            );
            if let Ok(user) = answer {
                assert_eq!((&*user.name, &*user.tags[0]), (name, "administrator"));
            }
        }
        assert!(gate.anonymous(true).is_ok() && gate.anonymous(false).is_err());
    }
}
