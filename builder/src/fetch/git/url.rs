//! Addresses of repositories, with what is wanted of them (Dockerfile reference, ADD; BuildKit's `gitutil`).

use rbuild_parser::go::parse_bool;

use super::GitError;

/// A repository and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitUrl {
    /// What git is given: without fragment and query.
    pub remote: String,
    /// A branch, a tag, a full reference or a commit; None for the default branch.
    pub reference: Option<String>,
    /// Folder inside, without slashes at its ends; empty for all.
    pub subdir: String,
    /// The commit, or the beginning of it, that the reference must lead to.
    pub commit: Option<String>,
    /// Whether `.git` stays; None if nothing is said.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched; None if nothing is said.
    pub submodules: Option<bool>,
    /// Files get the commit's time instead of that of the checkout.
    pub commit_time: bool,
}

/// Whether a text is the address of a repository: `git://`, `ssh://`, `git@host:path`, or http(s) that ends in
/// `.git` before the query and the fragment.
#[must_use]
pub fn is_git_url(text: &str) -> bool {
    if text.starts_with("git://") || text.starts_with("ssh://") {
        return true;
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return text[..text.find(['#', '?']).unwrap_or(text.len())].ends_with(".git");
    }
    is_scp_like(text)
}

/// `user@host:path`
fn is_scp_like(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let named = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    named
        && rest
            .split_once(':')
            .is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty())
}

impl GitUrl {
    /// Takes an address apart.
    ///
    /// # Errors
    /// Unknown or contradictory members of the query, or a folder that leads out of the repository.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        // The short form of ssh has no query.
        let (remote, query) = match rest.split_once('?') {
            Some(parts) if !is_scp_like(text) => parts,
            _ => (rest, ""),
        };
        let mut url = Self { remote: remote.to_owned(), ..Self::default() };
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        url.reference = Some(reference.to_owned()).filter(|text| !text.is_empty());
        url.set_subdir(subdir)?;
        for member in query.split('&').filter(|member| !member.is_empty()) {
            let (key, value) = member.split_once('=').unwrap_or((member, ""));
            url.member(key, &unescape(value))?;
        }
        // Such a text would be an option to git.
        if url.remote.starts_with('-') || url.reference.as_deref().is_some_and(|text| text.starts_with('-')) {
            return Err(GitError::Url(format!("invalid git URL {text:?}")));
        }
        Ok(url)
    }

    /// Whether the reference is a whole commit, which cannot mean anything else tomorrow.
    pub(crate) fn names_commit(&self) -> bool {
        self.reference.as_deref().is_some_and(super::mirror::is_commit)
    }

    /// The repository's address and the reference, `#` between them, without passwords.
    pub(crate) fn reference_name(&self) -> String {
        let reference = self.reference.as_deref().unwrap_or("HEAD");
        format!("{}#{reference}", super::mirror::shown(&self.remote))
    }

    fn member(&mut self, key: &str, value: &str) -> Result<(), GitError> {
        match key {
            "ref" => self.set_reference(value.to_owned()),
            "tag" => self.set_reference(format!("refs/tags/{}", value.trim_start_matches("refs/tags/"))),
            "branch" => self.set_reference(format!("refs/heads/{}", value.trim_start_matches("refs/heads/"))),
            "subdir" => {
                if !self.subdir.is_empty() {
                    return Err(conflict("subdir"));
                }
                self.set_subdir(value)
            }
            "commit" | "checksum" => {
                if self.commit.as_deref().is_some_and(|known| known != value) {
                    return Err(conflict("commit"));
                }
                self.commit = Some(value.to_owned()).filter(|text| !text.is_empty());
                Ok(())
            }
            "keep-git-dir" => switch(key, value).map(|on| self.keep_git_dir = Some(on)),
            "submodules" => switch(key, value).map(|on| self.submodules = Some(on)),
            // Only a hint about how to fetch.
            "fetch-by-commit" => switch(key, value).map(|_| ()),
            "mtime" => match value {
                "commit" | "checkout" => {
                    self.commit_time = value == "commit";
                    Ok(())
                }
                _ => Err(GitError::Url(format!("invalid mtime value {value:?} in git URL"))),
            },
            _ => Err(GitError::Url(format!("unexpected query {key:?}"))),
        }
    }

    fn set_reference(&mut self, reference: String) -> Result<(), GitError> {
        if self.reference.as_deref().is_some_and(|known| known != reference) {
            return Err(conflict("ref"));
        }
        self.reference = Some(reference).filter(|text| !text.is_empty());
        Ok(())
    }

    fn set_subdir(&mut self, text: &str) -> Result<(), GitError> {
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(GitError::Url(format!("the folder {text:?} leads out of the repository")));
        }
        self.subdir = parts.join("/");
        Ok(())
    }
}

fn conflict(what: &str) -> GitError {
    GitError::Url(format!("{what} conflicts: it is given twice in the git URL"))
}

/// Nothing at all means yes.
fn switch(key: &str, value: &str) -> Result<bool, GitError> {
    if value.is_empty() {
        return Ok(true);
    }
    parse_bool(value).ok_or_else(|| GitError::Url(format!("invalid {key} value: {value:?}")))
}

fn unescape(text: &str) -> String {
    crate::fetch::address::unescape(text, &[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, want) in [
            ("git://h/x", true),
            ("ssh://git@h/x", true),
            ("git@github.com:a/b.git", true),
            ("me@host:path", true),
            ("https://h/x.git", true),
            ("https://h/x.git#main:dir", true),
            ("https://h/x.git?tag=v1", true),
            ("https://h/x", false),
            ("https://h/x?y=.git", false),
            ("github.com/a/b", false),
            ("./x@y", false),
            ("dir", false),
        ] {
            assert_eq!(is_git_url(text), want, "{text}");
        }
    }

    #[test]
    fn parts() {
        let url = |remote: &str, reference: Option<&str>, subdir: &str| GitUrl {
            remote: remote.into(),
            reference: reference.map(Into::into),
            subdir: subdir.into(),
            ..GitUrl::default()
        };
        for (text, want) in [
            ("https://h/x.git", url("https://h/x.git", None, "")),
            ("https://h/x.git#main", url("https://h/x.git", Some("main"), "")),
            ("https://h/x.git#:/a//b/", url("https://h/x.git", None, "a/b")),
            ("git@h:x.git#v1:d", url("git@h:x.git", Some("v1"), "d")),
            ("https://h/x.git?tag=v1&subdir=d", url("https://h/x.git", Some("refs/tags/v1"), "d")),
            ("https://h/x.git?branch=a%2Fb", url("https://h/x.git", Some("refs/heads/a/b"), "")),
        ] {
            assert_eq!(GitUrl::parse(text).unwrap(), want, "{text}");
        }
        let url =
            GitUrl::parse("https://h/x.git?keep-git-dir&submodules=0&checksum=abc&mtime=commit").unwrap();
        assert_eq!((url.keep_git_dir, url.submodules), (Some(true), Some(false)));
        assert_eq!((url.commit.as_deref(), url.commit_time), (Some("abc"), true));
    }

    #[test]
    fn refused() {
        for text in [
            "https://h/x.git?color=red",
            "https://h/x.git?ref=a&tag=b",
            "https://h/x.git#a:../b",
            "https://h/x.git#--upload-pack=x",
            "https://h/x.git?keep-git-dir=maybe",
        ] {
            assert!(GitUrl::parse(text).is_err(), "{text}");
        }
    }
}
