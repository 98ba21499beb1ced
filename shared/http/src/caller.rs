//! Who calls, and what that caller may do: the one place where roles and tenants are decided.
//!
//! The API's JWT authorizer verifies tokens before a function runs; their claims arrive in the
//! request context. A handler asks in the order of the contract: the token (401, by extracting
//! [`SignedIn`]), the client (404, [`SignedIn::must_see`]), the role (403, [`SignedIn::must_be`]).

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use seatkeeper_domain::ids::{ClientId, GroupId};
use seatkeeper_domain::role::{Caller, CallerRole, Scope};

use crate::problem::{Problem, ProblemCode};

/// Roles that may use the vendor's calls.
pub const VENDOR: &[CallerRole] = &[CallerRole::VendorAdmin];

/// Roles that may administer a client.
pub const ADMINISTRATION: &[CallerRole] = &[CallerRole::VendorAdmin, CallerRole::ClientAdmin];

/// Roles that may read what concerns a client as a whole.
pub const READS: &[CallerRole] =
    &[CallerRole::VendorAdmin, CallerRole::ClientAdmin, CallerRole::Service];

/// Roles that may read what belongs to groups; some of them only their own
/// ([`SignedIn::must_see_one_of`]).
pub const GROUP_READS: &[CallerRole] = &[
    CallerRole::VendorAdmin,
    CallerRole::ClientAdmin,
    CallerRole::Service,
    CallerRole::GroupAdmin,
    CallerRole::Instructor,
];

/// Roles that may invite; some of them only into their own groups
/// ([`SignedIn::must_name_own_groups`]).
pub const INVITATIONS: &[CallerRole] = &[
    CallerRole::VendorAdmin,
    CallerRole::ClientAdmin,
    CallerRole::GroupAdmin,
    CallerRole::Instructor,
];

/// Roles that may report the arrival of a person through a client's identity provider.
pub const SINGLE_SIGN_ON: &[CallerRole] =
    &[CallerRole::VendorAdmin, CallerRole::ClientAdmin, CallerRole::Service];

/// Roles that may redeem launch tickets.
pub const TICKETS: &[CallerRole] = &[CallerRole::Service];

/// The names of the claims that identity providers differ in. `sub` and `email` are standard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The claim with a client id, or `*` for vendor staff and machines of all clients.
    pub client: String,
    /// The claim with the role.
    pub role: String,
    /// The claim with the ids of groups.
    pub groups: String,
}

/// A caller whose token the API verified. As an extractor it needs [`ClaimNames`] in the router's
/// state ([`FromRef`]) and refuses with 401 or 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn(Caller);

impl SignedIn {
    /// Reads the claims of a verified token. 401 without a subject; 403 when the claims do not say
    /// who this is for Seatkeeper.
    pub fn from_claims(
        claims: &HashMap<String, String>,
        names: &ClaimNames,
    ) -> Result<Self, Problem> {
        let given =
            |name: &str| claims.get(name).map(|value| value.trim()).filter(|v| !v.is_empty());
        let subject = given("sub").ok_or_else(Problem::unauthorized)?;
        let role = given(&names.role).and_then(only).as_deref().and_then(role_of);
        let role = role.ok_or_else(|| unusable_claim(&names.role))?;
        let scope = given(&names.client).and_then(only).as_deref().and_then(scope_of);
        let scope = scope.ok_or_else(|| unusable_claim(&names.client))?;
        // Vendor staff act for all clients, people of a client for theirs; the other way round the
        // identity provider is set up wrongly, and guessing would give somebody too much.
        let fits = match role {
            CallerRole::VendorAdmin => scope == Scope::Vendor,
            CallerRole::ClientAdmin | CallerRole::GroupAdmin | CallerRole::Instructor => {
                scope != Scope::Vendor
            }
            CallerRole::Service => true,
        };
        if !fits {
            return Err(unusable_claim(&names.client));
        }
        // Other systems' groups may stand in the same claim: only ours count.
        let groups = given(&names.groups).map(list_of).unwrap_or_default();
        let groups = groups.iter().filter_map(|id| id.parse().ok()).collect();
        let email = given("email").map(str::to_owned);
        Ok(Self(Caller { subject: subject.to_owned(), email, scope, role, groups }))
    }

    /// The caller, for use cases.
    pub fn caller(&self) -> &Caller {
        &self.0
    }

    /// The client of a path, for a caller who may see it in one of these roles: what every call
    /// about a client asks first. 404 for a foreign client, then 403 for the role.
    pub fn admitted(&self, client: &str, roles: &[CallerRole]) -> Result<ClientId, Problem> {
        let client = self.must_see(client)?;
        self.must_be(roles)?;
        Ok(client)
    }

    /// The client that a path names, if it exists for this caller; else 404, as for a client that
    /// does not exist.
    pub fn must_see(&self, client: &str) -> Result<ClientId, Problem> {
        let client: ClientId = client.parse().map_err(|_| Problem::not_found())?;
        if self.0.sees(&client) { Ok(client) } else { Err(Problem::not_found()) }
    }

    /// 403 unless the caller has one of these roles.
    pub fn must_be(&self, roles: &[CallerRole]) -> Result<(), Problem> {
        if roles.contains(&self.0.role) { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// 403 unless a caller confined to groups names some of them, and no others.
    pub fn must_name_own_groups(&self, named: &[GroupId]) -> Result<(), Problem> {
        let Some(own) = self.0.own_groups() else {
            return Ok(());
        };
        if named.is_empty() || !named.iter().all(|group| own.contains(group)) {
            let detail = "With this role, name one or several of your own groups in `group_ids`, \
                          and no others.";
            return Err(Problem::new(ProblemCode::Forbidden, detail));
        }
        Ok(())
    }

    /// 404 if the caller is confined to groups and the object belongs to none of them.
    pub fn must_see_one_of<'a>(
        &self,
        groups: impl IntoIterator<Item = &'a GroupId>,
    ) -> Result<(), Problem> {
        let Some(own) = self.0.own_groups() else {
            return Ok(());
        };
        let seen = groups.into_iter().any(|group| own.contains(group));
        if seen { Ok(()) } else { Err(Problem::not_found()) }
    }
}

impl Deref for SignedIn {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    ClaimNames: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(RequestContext::ApiGatewayV2(context)) = parts.request_context_ref() else {
            return Err(Problem::unauthorized());
        };
        let authorizer = context.authorizer.as_ref();
        let token = authorizer.and_then(|authorizer| authorizer.jwt.as_ref());
        let token = token.ok_or_else(Problem::unauthorized)?;
        Self::from_claims(&token.claims, &ClaimNames::from_ref(state))
    }
}

fn unusable_claim(name: &str) -> Problem {
    Problem::new(
        ProblemCode::Forbidden,
        format!(
            "The token's claim `{name}` is missing or does not fit the role. The administrator of \
             the identity provider has to set it; signing in again afterwards renews the token."
        ),
    )
}

fn role_of(name: &str) -> Option<CallerRole> {
    match name {
        "vendor_admin" => Some(CallerRole::VendorAdmin),
        "client_admin" => Some(CallerRole::ClientAdmin),
        "group_admin" => Some(CallerRole::GroupAdmin),
        "instructor" => Some(CallerRole::Instructor),
        "service" => Some(CallerRole::Service),
        _ => None,
    }
}

fn scope_of(name: &str) -> Option<Scope> {
    if name == "*" {
        return Some(Scope::Vendor);
    }
    name.parse().ok().map(Scope::Client)
}

/// The item of a claim that has exactly one.
fn only(claim: &str) -> Option<String> {
    let items = list_of(claim);
    let [item] = <[String; 1]>::try_from(items.into_iter().collect::<Vec<_>>()).ok()?;
    Some(item)
}

/// The items of a claim. The gateway turns every claim into text, a list into `[a b]`; providers
/// that know only texts send `a,b`, `a b` or JSON.
fn list_of(claim: &str) -> BTreeSet<String> {
    if let Ok(items) = serde_json::from_str::<Vec<String>>(claim) {
        return items.into_iter().filter(|item| !item.is_empty()).collect();
    }
    let inner = claim.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(claim);
    inner
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "grp_00000000000000000000000001";
    const OTHER: &str = "grp_00000000000000000000000002";

    fn names() -> ClaimNames {
        ClaimNames {
            client: "seatkeeper:client".to_owned(),
            role: "seatkeeper:role".to_owned(),
            groups: "seatkeeper:groups".to_owned(),
        }
    }

    fn read(claims: &[(&str, &str)]) -> Result<SignedIn, Problem> {
        let claims = claims.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SignedIn::from_claims(&claims, &names())
    }

    fn caller(client: &str, role: &str) -> Result<SignedIn, Problem> {
        read(&[
            ("sub", "u-1"),
            ("email", "ana@example.org"),
            ("seatkeeper:client", client),
            ("seatkeeper:role", role),
            ("seatkeeper:groups", GROUP),
        ])
    }

    fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> ProblemCode {
        result.expect_err("a refusal").code
    }

    #[test]
    fn claims_make_a_caller() {
        let caller = caller("acme", "group_admin").expect("a caller");
        assert_eq!(caller.subject, "u-1");
        assert_eq!(caller.email.as_deref(), Some("ana@example.org"));
        assert_eq!(caller.scope, Scope::Client("acme".parse().expect("a slug")));
        assert_eq!(caller.role, CallerRole::GroupAdmin);
        assert_eq!(caller.groups.len(), 1);
    }

    #[test]
    fn a_token_without_subject_is_no_token() {
        assert_eq!(code(read(&[])), ProblemCode::Unauthorized);
        assert_eq!(code(read(&[("sub", " ")])), ProblemCode::Unauthorized);
    }

    #[test]
    fn a_token_that_does_not_say_what_it_may_do_may_do_nothing() {
        for (client, role) in [
            ("acme", ""),
            ("acme", "root"),
            ("acme", "client_admin vendor_admin"),
            ("", "client_admin"),
            ("Acme!", "client_admin"),
            ("[acme globex]", "client_admin"),
        ] {
            assert_eq!(code(caller(client, role)), ProblemCode::Forbidden, "{client} {role}");
        }
    }

    #[test]
    fn vendor_staff_is_not_of_a_client_and_people_of_a_client_are_not_of_all() {
        assert_eq!(code(caller("acme", "vendor_admin")), ProblemCode::Forbidden);
        for role in ["client_admin", "group_admin", "instructor"] {
            assert_eq!(code(caller("*", role)), ProblemCode::Forbidden, "{role}");
        }
        assert!(caller("*", "vendor_admin").is_ok());
        assert!(caller("*", "service").is_ok());
        assert!(caller("acme", "service").is_ok());
    }

    #[test]
    fn lists_arrive_in_several_writings() {
        for list in [
            format!("[{GROUP} {OTHER}]"),
            format!("[{GROUP}, {OTHER}]"),
            format!("{GROUP},{OTHER}"),
            format!("{GROUP} {OTHER} "),
            format!("[\"{GROUP}\",\"{OTHER}\"]"),
            format!("[everyone {GROUP} {OTHER} {GROUP}]"),
        ] {
            let claims = [
                ("sub", "u-1"),
                ("seatkeeper:client", "[acme]"),
                ("seatkeeper:role", "[\"instructor\"]"),
                ("seatkeeper:groups", &list),
            ];
            let caller = read(&claims).expect("a caller");
            assert_eq!(caller.groups.len(), 2, "{list}");
        }
        for empty in ["", "[]", "[ ]"] {
            assert!(list_of(empty).is_empty(), "{empty}");
        }
    }

    #[test]
    fn a_foreign_client_answers_like_one_that_does_not_exist() {
        let ana = caller("acme", "client_admin").expect("a caller");
        assert_eq!(ana.must_see("acme").expect("her own").as_str(), "acme");
        let foreign = ana.must_see("globex").expect_err("foreign");
        assert_eq!(foreign.code, ProblemCode::NotFound);
        assert_eq!(foreign, ana.must_see("no such client").expect_err("no slug"));
        let vendor = caller("*", "vendor_admin").expect("a caller");
        assert!(vendor.must_see("globex").is_ok());
        assert_eq!(code(vendor.must_see("v1")), ProblemCode::NotFound);
    }

    #[test]
    fn roles_open_the_calls_of_the_contract_and_no_others() {
        let all = [
            ("vendor_admin", "*"),
            ("client_admin", "acme"),
            ("group_admin", "acme"),
            ("instructor", "acme"),
            ("service", "acme"),
        ];
        let admitted = |roles: &[CallerRole]| -> Vec<&str> {
            let may = |(role, client): &&(&str, &str)| {
                caller(client, role).expect("a caller").must_be(roles).is_ok()
            };
            all.iter().filter(may).map(|(role, _)| *role).collect()
        };
        assert_eq!(admitted(VENDOR), ["vendor_admin"]);
        assert_eq!(admitted(ADMINISTRATION), ["vendor_admin", "client_admin"]);
        assert_eq!(admitted(READS), ["vendor_admin", "client_admin", "service"]);
        assert_eq!(admitted(GROUP_READS).len(), 5);
        assert_eq!(
            admitted(INVITATIONS),
            ["vendor_admin", "client_admin", "group_admin", "instructor"]
        );
        assert_eq!(admitted(SINGLE_SIGN_ON), ["vendor_admin", "client_admin", "service"]);
        assert_eq!(admitted(TICKETS), ["service"]);
        let instructor = caller("acme", "instructor").expect("a caller");
        assert_eq!(code(instructor.must_be(ADMINISTRATION)), ProblemCode::Forbidden);
    }

    #[test]
    fn a_group_administrator_names_and_sees_own_groups_only() {
        let own: GroupId = GROUP.parse().expect("an id");
        let other: GroupId = OTHER.parse().expect("an id");
        let admin = caller("acme", "group_admin").expect("a caller");
        assert!(admin.must_name_own_groups(&[own]).is_ok());
        for named in [&[][..], &[other], &[own, other]] {
            assert_eq!(code(admin.must_name_own_groups(named)), ProblemCode::Forbidden);
        }
        assert!(admin.must_see_one_of(&[other, own]).is_ok());
        assert_eq!(code(admin.must_see_one_of(&[other])), ProblemCode::NotFound);
        assert_eq!(code(admin.must_see_one_of(&[])), ProblemCode::NotFound);
        let client_admin = caller("acme", "client_admin").expect("a caller");
        assert!(client_admin.must_name_own_groups(&[]).is_ok());
        assert!(client_admin.must_see_one_of(&[other]).is_ok());
    }
}
