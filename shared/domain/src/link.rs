//! Links in mails: derived when they are sent, verified when they are followed, never stored.
//!
//! A token is base64url of `kind ‖ client ‖ id ‖ version ‖ expiry ‖ MAC`. The MAC makes it
//! unforgeable, the version lets a newer link kill it, and a mail that is sent again carries the
//! same one.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};

use crate::ids::{ClientId, InvitationId, LearnerId};
use crate::learner::Learner;
use crate::secrets::Keys;

/// How long a link to set a password can be followed.
pub const PASSWORD_LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Bytes of the MAC that a token carries.
const TAG: usize = 16;

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// An invitation, at one version.
    Invitation {
        /// Whose.
        client: ClientId,
        /// Which.
        invitation: InvitationId,
        /// The version it was made for.
        version: u32,
    },
    /// Setting an account's password.
    Password {
        /// Whose.
        client: ClientId,
        /// Which account.
        learner: LearnerId,
        /// The password serial it was made for.
        serial: u32,
        /// When it ends.
        expires_at: Timestamp,
    },
}

impl Link {
    /// The link by which a learner sets a password from now on; it dies with the next password.
    pub fn password(client: &ClientId, learner: &Learner, now: Timestamp) -> Self {
        Self::password_until(client, learner, now + PASSWORD_LINK_LIFETIME)
    }

    /// The same, until an instant.
    pub fn password_until(client: &ClientId, learner: &Learner, expires_at: Timestamp) -> Self {
        Self::Password {
            client: client.clone(),
            learner: learner.learner_id,
            serial: u32::try_from(learner.password_serial).unwrap_or(u32::MAX),
            expires_at,
        }
    }

    /// The path of the link below the page base: `/i/<token>` or `/p/<token>`.
    pub fn path(&self, keys: &Keys) -> String {
        let letter = match self {
            Self::Invitation { .. } => 'i',
            Self::Password { .. } => 'p',
        };
        format!("/{letter}/{}", self.token(keys))
    }

    /// The token.
    pub fn token(&self, keys: &Keys) -> String {
        let (kind, client, bits, serial, expires) = match self {
            Self::Invitation { client, invitation, version } => {
                (1_u8, client, invitation.bits(), *version, 0)
            }
            Self::Password { client, learner, serial, expires_at } => {
                (2, client, learner.bits(), *serial, expires_at.as_second())
            }
        };
        let mut bytes = vec![kind];
        bytes.extend(u8::try_from(client.as_str().len()).unwrap_or(0).to_be_bytes());
        bytes.extend(client.as_str().as_bytes());
        bytes.extend(bits.to_be_bytes());
        bytes.extend(serial.to_be_bytes());
        bytes.extend(expires.to_be_bytes());
        let tag = keys.mac("link", &[&bytes]);
        bytes.extend(&tag[..TAG]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// What a token leads to; `None` if this stack did not make it.
    pub fn read(token: &str, keys: &Keys) -> Option<Self> {
        if token.len() > 200 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (body, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        if !keys.verify("link", &[body], tag) {
            return None;
        }
        let (kind, rest) = body.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (client, rest) = rest.split_at_checked(usize::from(*length))?;
        let client: ClientId = std::str::from_utf8(client).ok()?.parse().ok()?;
        let (bits, rest) = rest.split_first_chunk()?;
        let (serial, expires) = rest.split_first_chunk()?;
        let bits = u128::from_be_bytes(*bits);
        let serial = u32::from_be_bytes(*serial);
        match kind {
            1 => Some(Self::Invitation {
                client,
                invitation: InvitationId::from_bits(bits),
                version: serial,
            }),
            2 => Some(Self::Password {
                client,
                learner: LearnerId::from_bits(bits),
                serial,
                expires_at: Timestamp::from_second(i64::from_be_bytes(expires.try_into().ok()?))
                    .ok()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(letter: &str) -> Keys {
        Keys::derive(&letter.repeat(32)).unwrap()
    }

    fn link() -> Link {
        Link::Invitation {
            client: "acme".parse().unwrap(),
            invitation: InvitationId::from_bits(99),
            version: 3,
        }
    }

    #[test]
    fn a_link_reads_back_and_is_the_same_each_time() {
        let keys = keys("k");
        assert_eq!(link().token(&keys), link().token(&keys));
        assert_eq!(Link::read(&link().token(&keys), &keys), Some(link()));
        let password = Link::Password {
            client: "acme".parse().unwrap(),
            learner: LearnerId::from_bits(u128::MAX),
            serial: 1,
            expires_at: "2027-01-01T00:00:00Z".parse().unwrap(),
        };
        assert_eq!(Link::read(&password.token(&keys), &keys), Some(password));
    }

    #[test]
    fn a_forged_cut_or_foreign_token_leads_nowhere() {
        let keys_here = keys("k");
        let token = link().token(&keys_here);
        assert_eq!(Link::read(&token, &keys("x")), None);
        for end in 0..token.len() {
            assert_eq!(Link::read(&token[..end], &keys_here), None);
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            assert_eq!(Link::read(&BASE64URL_NOPAD.encode(&forged), &keys_here), None);
        }
    }
}
