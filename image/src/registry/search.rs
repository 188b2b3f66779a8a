//! What a registry has: its repositories and their tags.

use serde::Deserialize;
use ureq::http::header;

use super::auth::Scope;
use super::client::{Registry, parse_uri};
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::http::{Payload, printable, read_all, status_error};
use super::progress::Progress;
use super::retry::Retry;
use super::uri;
use crate::reference::Reference;

const HUB: &str = "docker.io";
/// No list has more pages than this.
const MAX_PAGES: usize = 1000;

/// A repository that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult {
    /// Its name, as it can be pulled.
    pub name: String,
    /// What its owner says about it.
    pub description: String,
    /// How many people like it.
    pub stars: u64,
    /// Docker vouches for it.
    pub is_official: bool,
    /// It is built from its sources by the registry.
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct HubAnswer {
    #[serde(default)]
    results: Vec<HubResult>,
}

#[derive(Deserialize)]
struct HubResult {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    star_count: u64,
    #[serde(default)]
    is_official: bool,
    #[serde(default)]
    is_automated: bool,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Repositories whose name contains `term`: of Docker Hub, or of the registry that `term` begins with
    /// (`host:port/term`). At most `limit`.
    ///
    /// # Errors
    /// When the registry does not answer, or does not tell what it has.
    pub fn search(
        &self,
        term: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        match term.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                if host == HUB {
                    self.search_hub(rest, limit, progress)
                } else {
                    self.search_catalog(host, rest, limit, progress)
                }
            }
            _ => self.search_hub(term, limit, progress),
        }
    }

    /// The tags of a repository, as the registry sorts them.
    ///
    /// # Errors
    /// When there is no such repository, or the registry does not answer.
    pub fn tags(&self, reference: &Reference, progress: &dyn Progress) -> Result<Vec<String>, RegistryError> {
        let endpoint = self.endpoint(reference.domain())?;
        let path = reference.path();
        let first = format!("{}/v2/{path}/tags/list?n=1000", endpoint.base);
        let mut tags: Vec<String> = Vec::new();
        self.pages(&endpoint, &Scope::pull(path), &first, progress, |bytes| {
            let page: Tags = serde_json::from_slice(bytes)?;
            tags.extend(page.tags.unwrap_or_default());
            Ok(true)
        })?;
        Ok(tags)
    }

    fn search_hub(
        &self,
        term: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        // It lives on another host, and asks for no login.
        let base = self.settings().hub_search.clone();
        let first = uri::with_parameter(&format!("{base}/v1/search?n={}", limit.clamp(1, 100)), "q", term);
        let endpoint = Endpoint { base, key: String::new(), is_mirror: false };
        let mut found = Vec::new();
        self.pages(&endpoint, &Scope::default(), &first, progress, |bytes| {
            let answer: HubAnswer = serde_json::from_slice(bytes)?;
            found.extend(answer.results.into_iter().map(|result| SearchResult {
                name: printable(&result.name),
                description: printable(&result.description.unwrap_or_default()),
                stars: result.star_count,
                is_official: result.is_official,
                is_automated: result.is_automated,
            }));
            Ok(false)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    fn search_catalog(
        &self,
        host: &str,
        term: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        let endpoint = self.endpoint(host)?;
        let first = format!("{}/v2/_catalog?n=1000", endpoint.base);
        let mut found = Vec::new();
        self.pages(&endpoint, &Scope::catalog(), &first, progress, |bytes| {
            let page: Catalog = serde_json::from_slice(bytes)?;
            let names = page.repositories.unwrap_or_default().into_iter().filter(|name| name.contains(term));
            found.extend(names.map(|name| SearchResult {
                name: format!("{host}/{}", printable(&name)),
                description: String::new(),
                stars: 0,
                is_official: false,
                is_automated: false,
            }));
            Ok(found.len() < limit)
        })?;
        found.truncate(limit);
        Ok(found)
    }

    /// Hands the pages of a list to `take`, until it wants no more.
    fn pages(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        first: &str,
        progress: &dyn Progress,
        mut take: impl FnMut(&[u8]) -> Result<bool, serde_json::Error>,
    ) -> Result<(), RegistryError> {
        let retry = Retry::new(self.settings(), progress);
        let mut uri = parse_uri(first)?;
        for _ in 0..MAX_PAGES {
            let (bytes, next) = retry.run(|| {
                let response = self.call(endpoint, scope, "GET", &uri, &[], Payload::Empty)?;
                match response.status().as_u16() {
                    200 => {}
                    404 => return Err(RegistryError::NotFound(super::http::shown(&uri))),
                    _ => return Err(status_error("GET", &uri, response)),
                }
                let link = response.headers().get(header::LINK).and_then(|value| value.to_str().ok());
                let next = link.and_then(next_page).and_then(|target| uri::join(&uri, target));
                read_all("GET", &uri, response, self.settings().limits.document).map(|bytes| (bytes, next))
            })?;
            let wants_more =
                take(&bytes).map_err(|error| RegistryError::document(&super::http::shown(&uri), error))?;
            match next {
                // The next page is where this one is, or somebody is leading us away.
                Some(next) if wants_more && uri::origin(&next) == uri::origin(&uri) && next != uri => {
                    uri = next;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The target of `<target>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_the_link() {
        assert_eq!(next_page(r#"</v2/_catalog?last=b&n=2>; rel="next""#), Some("/v2/_catalog?last=b&n=2"));
        assert_eq!(next_page(r#"</x>; rel="prev""#), None);
        assert_eq!(next_page("x"), None);
    }
}
