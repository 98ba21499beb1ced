//! Signature Version 4, as far as one call of a JSON protocol needs it.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// An access key.
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl AccessKey {
    /// The headers `x-amz-date` and `authorization` of a POST to `/` of this host.
    pub(crate) fn sign(
        &self,
        (service, region): (&str, &str),
        host: &str,
        body: &str,
        at: Timestamp,
    ) -> [(&'static str, String); 2] {
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let signed = "host;x-amz-date";
        let body = HEXLOWER.encode(&Sha256::digest(body));
        let request = format!("POST\n/\n\nhost:{host}\nx-amz-date:{time}\n\n{signed}\n{body}");
        let request = HEXLOWER.encode(&Sha256::digest(request));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/').chain([text.as_str()]) {
            key = hmac(&key, part);
        }
        let signature = HEXLOWER.encode(&key);
        let id = &self.id;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
        );
        [("x-amz-date", time), ("authorization", authorization)]
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    hmac.update(text.as_bytes());
    hmac.finalize().into_bytes().to_vec()
}
