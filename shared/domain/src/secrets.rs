//! Keys derived from the stack's one secret: keyed ids, link tokens, sealed records.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::email::EmailAddress;
use crate::ids::{ClientId, InvitationId, LearnerId, PoolId};
use crate::ports::IdSource;

/// Length of the root secret, in characters, below which a stack does not start.
pub const ROOT_MIN: usize = 32;

/// The keys of a stack. Each purpose has its own, derived by HKDF (RFC 5869) from the root secret.
#[derive(Clone)]
pub struct Keys {
    mac: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
}

/// The root secret is too short to derive keys from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the root key needs at least 32 characters")]
pub struct WeakRootKey;

impl Keys {
    /// Derives the keys from the stack's secret.
    pub fn derive(root: &str) -> Result<Self, WeakRootKey> {
        if root.len() < ROOT_MIN {
            return Err(WeakRootKey);
        }
        let hkdf = Hkdf::<Sha256>::new(Some(b"seatkeeper"), root.as_bytes());
        let expand = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            hkdf.expand(purpose, key.as_mut_slice()).map_err(|_| WeakRootKey)?;
            Ok(key)
        };
        Ok(Self { mac: expand(b"mac")?, seal: expand(b"seal")? })
    }

    /// A keyed hash of `parts` for one purpose. Parts are length-prefixed, so that no two lists
    /// of parts collide; purposes do not collide either.
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC accepts a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.mac.as_slice()) else {
            return [0; 32];
        };
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` begins the keyed hash of `parts`, in constant time.
    pub fn verify(&self, purpose: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        let full = self.mac(purpose, parts);
        (16..=32).contains(&tag.len()) && bool::from(full[..tag.len()].ct_eq(tag))
    }

    /// The first 128 bits of a keyed hash.
    fn bits(&self, purpose: &str, parts: &[&[u8]]) -> u128 {
        let mut first = [0; 16];
        first.copy_from_slice(&self.mac(purpose, parts)[..16]);
        u128::from_be_bytes(first)
    }

    /// The learner that this address is at this client: uniqueness is the key itself.
    pub fn learner_id(&self, client: &ClientId, email: &EmailAddress) -> LearnerId {
        let parts = [client.as_str().as_bytes(), email.as_str().as_bytes()];
        LearnerId::from_bits(self.bits("learner", &parts))
    }

    /// Where the invitation of this address to this pool stands, which is also the id of the first
    /// one made for it.
    pub fn invitation_id(
        &self,
        client: &ClientId,
        pool: PoolId,
        email: &EmailAddress,
    ) -> InvitationId {
        let pool = pool.to_string();
        let parts = [client.as_str().as_bytes(), pool.as_bytes(), email.as_str().as_bytes()];
        InvitationId::from_bits(self.bits("invitation", &parts)).home()
    }

    /// Where the redemption of this address in this pool stands that waits for its proof.
    pub fn proof_id(&self, client: &ClientId, pool: PoolId, email: &EmailAddress) -> InvitationId {
        let pool = pool.to_string();
        let parts = [client.as_str().as_bytes(), pool.as_bytes(), email.as_str().as_bytes()];
        InvitationId::from_bits(self.bits("proof", &parts)).home()
    }

    /// Encrypts `plain` (ChaCha20-Poly1305, RFC 8439) for `context`, which must be the same when
    /// it is opened. The nonce stands before the ciphertext.
    pub fn seal(&self, ids: &impl IdSource, context: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        ids.fill(&mut nonce);
        let cipher = ChaCha20Poly1305::new(&(*self.seal).into());
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        // Encryption fails only above 256 GiB.
        let sealed = cipher.encrypt(&nonce.into(), payload).unwrap_or_default();
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`Keys::seal`] made for the same `context`; `None` if it was not.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<12>()?;
        let cipher = ChaCha20Poly1305::new(&(*self.seal).into());
        cipher.decrypt(&(*nonce).into(), Payload { msg: body, aad: context.as_bytes() }).ok()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}
