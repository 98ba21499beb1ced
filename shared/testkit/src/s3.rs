//! S3: versioned buckets that exist as soon as something is put into them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Service;
use crate::reply::{Call, Reply, percent_decoded};

/// One version of an object.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// Names this version among those of the key.
    pub version_id: String,
    /// Changes with the bytes; with its quotes.
    pub etag: String,
    /// The media type it was stored with.
    pub content_type: Option<String>,
    /// The bytes.
    pub body: Bytes,
    /// The `x-amz-meta-*` and `x-amz-checksum-*` headers, `content-disposition` and the like.
    headers: Vec<(String, String)>,
    stored_at: Timestamp,
}

/// All buckets.
#[derive(Debug, Default, Clone)]
pub(crate) struct S3 {
    /// Versions by (bucket, key), the newest last; `None` marks a deletion.
    objects: BTreeMap<(String, String), Vec<Option<StoredObject>>>,
    versions: u64,
}

/// Headers that are stored with an object and come back with it.
const KEPT: [&str; 4] =
    ["content-disposition", "content-encoding", "content-language", "cache-control"];

/// The operation a request names.
pub(crate) fn operation(call: &Call) -> String {
    // The SDK names it in the query wherever the method alone would not.
    match (call.query("x-id"), call.method.as_str()) {
        (Some(named), _) => named.to_owned(),
        (None, "HEAD") => "HeadObject".to_owned(),
        (None, "GET") if call.query("list-type").is_some() => "ListObjectsV2".to_owned(),
        (None, method) => format!("{method} {}", call.path),
    }
}

/// The bucket and the key, from a virtual host or from the path.
fn address(call: &Call) -> (String, String) {
    let path = percent_decoded(call.path.trim_start_matches('/'));
    match call.host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), path),
        None => match path.split_once('/') {
            Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
            None => (path, String::new()),
        },
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::error(Service::S3, status, code, code)
}

impl S3 {
    /// Does what the request asks; `None` for an operation that is not simulated.
    pub(crate) fn answer(&mut self, operation: &str, call: &Call, now: Timestamp) -> Option<Reply> {
        let (bucket, key) = address(call);
        match operation {
            "PutObject" => Some(self.put_object(&bucket, &key, call, now)),
            "GetObject" => Some(self.get_object(&bucket, &key, call, true)),
            "HeadObject" => Some(self.get_object(&bucket, &key, call, false)),
            "DeleteObject" => Some(self.delete_object(&bucket, &key)),
            _ => None,
        }
    }

    /// Stores a new version.
    pub(crate) fn store(
        &mut self,
        bucket: &str,
        key: &str,
        body: Bytes,
        headers: Vec<(String, String)>,
        now: Timestamp,
    ) -> StoredObject {
        self.versions += 1;
        let content_type = headers.iter().find(|(name, _)| name == "content-type");
        let object = StoredObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: format!("version-{:06}", self.versions),
            etag: etag(&body),
            content_type: content_type.map(|(_, value)| value.clone()),
            body,
            headers,
            stored_at: now,
        };
        let versions = self.objects.entry((bucket.to_owned(), key.to_owned())).or_default();
        versions.push(Some(object.clone()));
        object
    }

    /// The newest version of every object that is not deleted.
    pub(crate) fn current(&self) -> Vec<StoredObject> {
        self.objects.values().filter_map(|versions| versions.last()?.clone()).collect()
    }

    fn newest(&self, bucket: &str, key: &str) -> Option<&StoredObject> {
        self.objects.get(&(bucket.to_owned(), key.to_owned()))?.last()?.as_ref()
    }

    fn put_object(&mut self, bucket: &str, key: &str, call: &Call, now: Timestamp) -> Reply {
        let newest = self.newest(bucket, key);
        if call.header("if-none-match") == Some("*") && newest.is_some() {
            return error(412, "PreconditionFailed");
        }
        if let Some(wanted) = call.header("if-match") {
            match newest {
                None => return error(404, "NoSuchKey"),
                Some(object) if object.etag != wanted => return error(412, "PreconditionFailed"),
                Some(_) => {}
            }
        }
        let kept = |name: &str| {
            name == "content-type"
                || KEPT.contains(&name)
                || name.starts_with("x-amz-meta-")
                || is_checksum(name)
        };
        let mut headers: Vec<_> = call.headers.iter().filter(|(n, _)| kept(n)).cloned().collect();
        let chunked = headers.iter().any(|(n, v)| n == "content-encoding" && v == "aws-chunked");
        let body = if chunked {
            headers.retain(|(name, _)| name != "content-encoding");
            let Some((body, trailers)) = dechunked(&call.body) else {
                return error(400, "IncompleteBody");
            };
            headers.extend(trailers.into_iter().filter(|(name, _)| is_checksum(name)));
            body
        } else {
            call.body.clone()
        };
        let object = self.store(bucket, key, body, headers, now);
        Reply::new(200, "").with("etag", object.etag).with("x-amz-version-id", object.version_id)
    }

    fn get_object(&self, bucket: &str, key: &str, call: &Call, with_body: bool) -> Reply {
        let versions = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        let versions = versions.map(Vec::as_slice).unwrap_or_default();
        let found = match call.query("versionId") {
            Some(id) => {
                let version = versions.iter().flatten().find(|object| object.version_id == id);
                version.ok_or("NoSuchVersion")
            }
            None => versions.last().and_then(Option::as_ref).ok_or("NoSuchKey"),
        };
        let object = match found {
            Ok(object) => object,
            Err(code) if with_body => return error(404, code),
            // The answer to HEAD has no body that could name the error.
            Err(_) => return Reply::new(404, ""),
        };
        if call.header("if-match").is_some_and(|wanted| wanted != object.etag) {
            return if with_body { error(412, "PreconditionFailed") } else { Reply::new(412, "") };
        }
        let size = object.body.len();
        let (status, part) = match call.header("range").map(|range| span(range, size)) {
            None => (200, 0..size),
            Some(Some(part)) => (206, part),
            Some(None) => return error(416, "InvalidRange"),
        };
        let whole = status == 200;
        let verified = whole && call.header("x-amz-checksum-mode") == Some("ENABLED");
        let body = if with_body { object.body.slice(part.clone()) } else { Bytes::new() };
        let mut reply = Reply::new(status, body)
            .with("content-length", part.len().to_string())
            .with("etag", object.etag.clone())
            .with("last-modified", http_date(object.stored_at))
            .with("x-amz-version-id", object.version_id.clone());
        if !whole {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            reply = reply.with("content-range", range);
        }
        for (name, value) in &object.headers {
            if verified || !is_checksum(name) {
                reply = reply.with(name, value.clone());
            }
        }
        reply
    }

    fn delete_object(&mut self, bucket: &str, key: &str) -> Reply {
        self.versions += 1;
        let id = format!("version-{:06}", self.versions);
        self.objects.entry((bucket.to_owned(), key.to_owned())).or_default().push(None);
        Reply::new(204, "").with("x-amz-delete-marker", "true").with("x-amz-version-id", id)
    }
}

fn is_checksum(name: &str) -> bool {
    name.starts_with("x-amz-checksum-")
        && !matches!(name, "x-amz-checksum-mode" | "x-amz-checksum-algorithm")
}

fn etag(body: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, body).hash(&mut hasher);
        hasher.finish()
    };
    format!("\"{:016x}{:016x}\"", half(0), half(1))
}

fn http_date(instant: Timestamp) -> String {
    instant.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The bytes a `Range` header asks of an object of `size` bytes; `None` when it asks for none.
fn span(range: &str, size: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => first..size.min(last + 1),
        (Ok(first), Err(_)) => first..size,
        (Err(_), Ok(suffix)) => size.saturating_sub(suffix)..size,
        (Err(_), Err(_)) => return None,
    };
    (!part.is_empty()).then_some(part)
}

/// The bytes of an `aws-chunked` body and the headers after them; `None` when it is cut short.
fn dechunked(mut rest: &[u8]) -> Option<(Bytes, Vec<(String, String)>)> {
    let mut body = Vec::new();
    loop {
        let (head, after) = line(rest)?;
        let size = usize::from_str_radix(head.split(';').next()?.trim(), 16).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some((text, after)) = line(rest) {
        if let Some((name, value)) = text.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        rest = after;
    }
    Some((body.into(), trailers))
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cloud;
    use aws_sdk_s3::error::SdkError;
    use aws_sdk_s3::operation::get_object::GetObjectError;
    use aws_sdk_s3::primitives::ByteStream;

    async fn text(cloud: &Cloud, version: Option<&str>) -> String {
        let request = cloud.s3().get_object().bucket("uploads").key("drop/né à.csv");
        let answer = request.set_version_id(version.map(str::to_owned)).send().await.unwrap();
        let bytes = answer.body.collect().await.unwrap().into_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_version_of_an_object_can_be_read_by_its_id() {
        let cloud = Cloud::new();
        let put = |text: &'static str| {
            let request = cloud.s3().put_object().bucket("uploads").key("drop/né à.csv");
            request.metadata("client", "acme").body(ByteStream::from_static(text.as_bytes())).send()
        };
        let first = put("one").await.unwrap().version_id.unwrap();
        let second = put("two!").await.unwrap().version_id.unwrap();
        assert_ne!(first, second);
        assert_eq!(text(&cloud, Some(&first)).await, "one");
        assert_eq!(text(&cloud, None).await, "two!");

        let head = cloud.s3().head_object().bucket("uploads").key("drop/né à.csv").send();
        let head = head.await.unwrap();
        assert_eq!(head.content_length(), Some(4));
        assert_eq!(head.version_id(), Some(second.as_str()));
        assert_eq!(head.metadata().unwrap()["client"], "acme");
        assert_eq!(cloud.objects()[0].key, "drop/né à.csv");
    }

    #[tokio::test]
    async fn an_object_that_is_not_there_is_a_modelled_error() {
        let cloud = Cloud::new();
        let get = cloud.s3().get_object().bucket("uploads").key("nothing").send().await;
        let Err(SdkError::ServiceError(error)) = get else { panic!("found {get:?}") };
        assert!(matches!(error.err(), GetObjectError::NoSuchKey(_)));
        let head = cloud.s3().head_object().bucket("uploads").key("nothing").send().await;
        assert!(head.unwrap_err().into_service_error().is_not_found());
    }

    #[tokio::test]
    async fn the_first_of_two_writers_wins_when_both_ask_that_nothing_be_there() {
        let cloud = Cloud::new();
        let put = || {
            let request = cloud.s3().put_object().bucket("reports").key("r.csv").if_none_match("*");
            request.body(ByteStream::from_static(b"x")).send()
        };
        put().await.unwrap();
        let refused = put().await.unwrap_err().into_service_error();
        assert_eq!(refused.meta().code(), Some("PreconditionFailed"));
    }

    #[tokio::test]
    async fn a_range_is_answered_with_that_part() {
        let cloud = Cloud::new();
        cloud.upload("uploads", "a", "0123456789");
        let get = cloud.s3().get_object().bucket("uploads").key("a").range("bytes=2-4").send();
        let get = get.await.unwrap();
        assert_eq!(get.content_range(), Some("bytes 2-4/10"));
        assert_eq!(&get.body.collect().await.unwrap().into_bytes()[..], b"234");
    }

    #[test]
    fn a_chunked_body_is_put_together_and_a_cut_one_refused() {
        let wire = b"4\r\nabcd\r\n2;sig=x\r\nef\r\n0\r\nx-amz-checksum-crc32: AA==\r\n\r\n";
        let (body, trailers) = dechunked(wire).unwrap();
        assert_eq!(&body[..], b"abcdef");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "AA==".to_owned())]);
        assert!(dechunked(&wire[..8]).is_none());
    }
}
