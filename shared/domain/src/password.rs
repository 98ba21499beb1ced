//! Passwords: the policy, and argon2id at OWASP's floor.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::ids::{ClientId, LearnerId};
use crate::learner::SERIALS;
use crate::ports::IdSource;
use crate::secrets::Keys;

/// What a password must be: a minimum length and no more (NIST SP 800-63B, 5.1.1.2: no
/// composition rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Fewest characters.
    pub min_length: usize,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 12 }
    }
}

/// Most bytes of a password: enough for a passphrase, few enough to hash without harm.
const MAX_BYTES: usize = 1024;

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Fewer characters than the policy asks for.
    #[error("use at least {min_length} characters")]
    TooShort {
        /// Fewest characters.
        min_length: usize,
    },
    /// More than 1,024 bytes.
    #[error("use at most 1024 bytes")]
    TooLong,
    /// The same character, again and again.
    #[error("use more than one character again and again")]
    Repeated,
}

/// A password in clear, of the policy's strength. It is wiped when dropped and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl PasswordPolicy {
    /// Checks a password as it was typed; nothing is trimmed.
    pub fn check(&self, text: &str) -> Result<Password, WeakPassword> {
        if text.chars().count() < self.min_length {
            return Err(WeakPassword::TooShort { min_length: self.min_length });
        }
        if text.len() > MAX_BYTES {
            return Err(WeakPassword::TooLong);
        }
        let first = text.chars().next();
        if text.chars().all(|c| Some(c) == first) {
            return Err(WeakPassword::Repeated);
        }
        Ok(Password(Zeroizing::new(text.to_owned())))
    }
}

impl Password {
    /// The generated password of a learner: derived, so that the mail can carry it once and no
    /// record ever holds it. `serial` distinguishes successive ones of a person.
    ///
    /// 20 characters of 31 each, in groups of five: 99 bits.
    pub fn generated(keys: &Keys, client: &ClientId, learner: LearnerId, serial: u64) -> Self {
        const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
        let id = learner.to_string();
        let serial = (serial % SERIALS).to_be_bytes();
        let parts = [client.as_str().as_bytes(), id.as_bytes(), &serial];
        let hash = keys.mac("generated-password", &parts);
        let mut text = String::new();
        for (place, byte) in hash.iter().take(20).enumerate() {
            if place > 0 && place % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        }
        Self(Zeroizing::new(text))
    }

    /// The password in clear, for the mail or form that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Hashes the password with a new salt.
    pub fn hash(&self, ids: &impl IdSource) -> PasswordHash {
        let mut salt = [0; 16];
        ids.fill(&mut salt);
        let hash = hasher()
            .and_then(|argon| argon.hash_password_with_salt(self.0.as_bytes(), &salt).ok())
            .map(|hash| hash.to_string());
        PasswordHash(hash.unwrap_or_default())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How often a password was hashed or compared in this process.
static HASHED: AtomicU64 = AtomicU64::new(0);

/// How often a password was hashed or compared in this process so far: nearly all the work of a
/// sign-in, which must not tell whether there is an account.
pub fn times_hashed() -> u64 {
    HASHED.load(Ordering::Relaxed)
}

/// argon2id, 19 MiB, two passes, one lane: OWASP's floor (Password Storage Cheat Sheet).
fn hasher() -> Option<Argon2<'static>> {
    HASHED.fetch_add(1, Ordering::Relaxed);
    let params = Params::new(19 * 1024, 2, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A stored password: a PHC string of argon2id.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Whether `typed` is the password. An unreadable hash matches nothing.
    pub fn matches(&self, typed: &str) -> bool {
        let Ok(hash) = argon2::password_hash::phc::PasswordHash::new(&self.0) else {
            return false;
        };
        let Some(argon) = hasher() else { return false };
        argon.verify_password(typed.as_bytes(), &hash).is_ok()
    }

    /// Spends the work of a real comparison, so that an unknown account takes as long as a known
    /// one.
    pub fn match_nothing(typed: &str) {
        let salt = [7; 16];
        if let Some(argon) = hasher() {
            let _ = argon.hash_password_with_salt(typed.as_bytes(), &salt);
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}
