use super::*;

const PASSWD: &[u8] =
    b"# comment\nroot:x:0:0:root:/root:/bin/sh\nbin:x:1:7:bin:/bin:\napp:x:1000:1001:App:/home/app:/bin/sh\n\
    app:x:2000:2000::/second:\n1234:x:55:56::/named-by-digits:\nbroken\nnohome:x:77:77\n";
const GROUP: &[u8] = b"root:x:0:root\nwheel:x:10:root,app\napp:x:1001:\nstaff:x:50:app,bin\n";

fn ids(user: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
    lookup_user(user, &[], Some(PASSWD), Some(GROUP))
        .map(|ids| (ids.uid, ids.gid, ids.groups, ids.home))
        .map_err(|error| error.to_string())
}

#[test]
fn users_of_processes() {
    type Ids = (u32, u32, &'static [u32], &'static str);
    let table: &[(&str, Ids)] = &[
        ("", (0, 0, &[0, 10], "/root")),
        ("root", (0, 0, &[0, 10], "/root")),
        ("0", (0, 0, &[0, 10], "/root")),
        ("app", (1000, 1001, &[1001, 10, 50], "/home/app")),
        ("1000", (1000, 1001, &[1001, 10, 50], "/home/app")),
        ("1234", (1234, 0, &[0], "/")),
        ("1234:5", (1234, 5, &[5], "/")),
        ("root:5", (0, 5, &[5], "/root")),
        ("app:staff", (1000, 50, &[50], "/home/app")),
        ("app:77", (1000, 77, &[77], "/home/app")),
        ("1000:app", (1000, 1001, &[1001], "/home/app")),
        ("nohome", (77, 77, &[77], "/")),
        (":wheel", (0, 10, &[10], "/root")),
        ("2147483647", (2_147_483_647, 0, &[0], "/")),
    ];
    for (user, (uid, gid, groups, home)) in table {
        assert_eq!(ids(user), Ok((*uid, *gid, groups.to_vec(), (*home).to_owned())), "user {user:?}");
    }
}

#[test]
fn users_that_do_not_exist() {
    let table = [
        ("nobody-here", "unable to find user nobody-here: no matching entries in passwd file"),
        ("app:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
        ("1:2147483648", "uids and gids must be in range 0-2147483647"),
        ("broken", "unable to find user broken: no matching entries in passwd file"),
    ];
    for (user, message) in table {
        assert_eq!(ids(user), Err(message.to_owned()), "user {user:?}");
    }
}

#[test]
fn missing_files() {
    let none = |user: &str| lookup_user(user, &[], None, None);
    assert_eq!(
        none("").map(|ids| (ids.uid, ids.gid, ids.groups, ids.home)),
        Ok((0, 0, vec![0], "/".to_owned()))
    );
    assert_eq!(none("7").map(|ids| (ids.uid, ids.gid)), Ok((7, 0)));
    assert_eq!(none("app"), Err(UserError::UnknownUser("app".to_owned())));
}

#[test]
fn extra_groups_by_name_and_number() {
    let extra = ["staff".to_owned(), "4242".to_owned()];
    let ids = lookup_user("bin", &extra, Some(PASSWD), Some(GROUP)).unwrap();
    assert_eq!(ids.groups, [7, 50, 50, 4242]);
    let unknown = lookup_user("bin", &["none".to_owned()], Some(PASSWD), Some(GROUP));
    assert_eq!(unknown, Err(UserError::UnknownGroup("none".to_owned())));
}

#[test]
fn owners_of_files() {
    let table = [
        ("app", (1000, 1001)),
        ("1234", (1234, 1234)),
        ("1234:5", (1234, 5)),
        ("app:wheel", (1000, 10)),
        (":wheel", (0, 10)),
        ("root", (0, 0)),
        ("unknown", (0, 0)),
        ("app:unknown", (1000, 0)),
        ("unknown:50", (0, 50)),
        ("app:", (1000, 1001)),
        ("", (0, 0)),
    ];
    for (spec, (uid, gid)) in table {
        assert_eq!(owner(spec, Some(PASSWD), Some(GROUP)), Ok(Owner { uid, gid }), "owner {spec:?}");
    }
    assert_eq!(owner("app:wheel", None, None), Ok(Owner { uid: 0, gid: 0 }));
}

#[test]
fn files_are_read_for_names_only() {
    for (spec, needed) in
        [("1:2", false), ("root:0", false), ("app", true), ("1:app", true), (":wheel", true), ("", false)]
    {
        assert_eq!(owner_needs_files(spec), needed, "{spec:?}");
    }
}

#[test]
fn huge_files_are_refused() {
    let huge = vec![b'\n'; usize::try_from(MAX_FILE_SIZE).unwrap() + 1];
    assert_eq!(
        lookup_user("app", &[], Some(&huge), None),
        Err(UserError::TooLarge("/etc/passwd".to_owned()))
    );
}
