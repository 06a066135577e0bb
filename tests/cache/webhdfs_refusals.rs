//! What is refused, with the class, the status and the words of a NameNode (Hadoop 3.4.2, measured).

use crate::door::Door;

const ILLEGAL: &str = "java.lang.IllegalArgumentException";
const MISSING: &str = "java.io.FileNotFoundException";
const EXISTS: &str = "org.apache.hadoop.fs.FileAlreadyExistsException";
const DENIED: &str = "org.apache.hadoop.security.AccessControlException";
const UNSUPPORTED: &str = "java.lang.UnsupportedOperationException";

#[test]
fn requests_that_make_no_sense() {
    let door = Door::open();
    door.file("f", b"hello");
    let parameter =
        |name: &str, why: &str| format!("Invalid value for webhdfs parameter \"{name}\": {why}");
    let required =
        |name: &str, op: &str| format!("Required param {name} for op: {op} is null or empty");
    for (method, query, message) in [
        (
            "GET",
            "op=FOO",
            parameter("op", "FOO is not a valid GET operation."),
        ),
        (
            "PUT",
            "op=OPEN",
            parameter("op", "OPEN is not a valid PUT operation."),
        ),
        (
            "GET",
            "op=OPEN&offset=-1",
            parameter("offset", "Invalid parameter range: offset = -1 < 0"),
        ),
        (
            "GET",
            "op=OPEN&offset=abc",
            parameter(
                "offset",
                "Failed to parse \"abc\" as a radix-10 long integer.",
            ),
        ),
        (
            "GET",
            "op=OPEN&length=-1",
            parameter("length", "Invalid parameter range: length = -1 < 0"),
        ),
        (
            "DELETE",
            "op=DELETE&recursive=zz",
            parameter("recursive", "Failed to parse \"zz\" to Boolean."),
        ),
        (
            "PUT",
            "op=SETPERMISSION&permission=888",
            parameter(
                "permission",
                "Failed to parse \"888\" as a radix-8 short integer.",
            ),
        ),
        (
            "PUT",
            "op=SETREPLICATION&replication=0",
            parameter(
                "replication",
                "Invalid parameter range: replication = 0 < 1",
            ),
        ),
        ("PUT", "op=RENAME", required("destination", "RENAME")),
        ("POST", "op=CONCAT", required("sources", "CONCAT")),
        ("POST", "op=TRUNCATE", required("newlength", "TRUNCATE")),
        ("GET", "op=CHECKACCESS", required("fsaction", "CHECKACCESS")),
        (
            "PUT",
            "op=MODIFYACLENTRIES",
            required("aclspec", "MODIFYACLENTRIES"),
        ),
        (
            "PUT",
            "op=SETOWNER",
            "Both owner and group are empty.".to_owned(),
        ),
        (
            "PUT",
            "op=RENAME&destination=/m/g&renameoptions=BAD",
            parameter(
                "renameoptions",
                "No enum constant org.apache.hadoop.fs.Options.Rename.BAD",
            ),
        ),
        (
            "GET",
            "op=OPEN&user.name=9~!",
            parameter(
                "user.name",
                "Invalid value: \"9~!\" does not belong to the domain ^[A-Za-z_][A-Za-z0-9._-]*[$]?$",
            ),
        ),
    ] {
        let got = door.hdfs().refusal(method, "/m/f", query);
        assert_eq!(got, (400, ILLEGAL.to_owned(), message), "{method} {query}");
    }
    let none = door.hdfs().refusal("GET", "/m/f", "");
    assert_eq!(
        none,
        (
            400,
            UNSUPPORTED.to_owned(),
            "op=NULL is not supported".to_owned()
        )
    );
}

#[test]
fn what_is_not_there_or_is_something_else() {
    let door = Door::open();
    door.file("f", b"hello");
    door.file("d/x", b"");
    for (method, path, query, status, class, message) in [
        (
            "GET",
            "/m/n",
            "op=OPEN",
            404,
            MISSING,
            "File /m/n not found.",
        ),
        (
            "GET",
            "/m/n",
            "op=GETFILESTATUS",
            404,
            MISSING,
            "File does not exist: /m/n",
        ),
        (
            "GET",
            "/m/n",
            "op=LISTSTATUS",
            404,
            MISSING,
            "File /m/n does not exist.",
        ),
        (
            "GET",
            "/m/n",
            "op=GETCONTENTSUMMARY",
            404,
            MISSING,
            "File does not exist: /m/n",
        ),
        (
            "GET",
            "/m/n",
            "op=GETFILEBLOCKLOCATIONS",
            404,
            MISSING,
            "File does not exist: /m/n",
        ),
        (
            "GET",
            "/m/n",
            "op=CHECKACCESS&fsaction=r--",
            404,
            MISSING,
            "Path not found: /m/n",
        ),
        (
            "POST",
            "/m/n",
            "op=APPEND",
            404,
            MISSING,
            "File /m/n not found.",
        ),
        (
            "PUT",
            "/m/n",
            "op=SETPERMISSION",
            404,
            MISSING,
            "Directory/File does not exist /m/n",
        ),
        (
            "PUT",
            "/m/n",
            "op=SETTIMES&modificationtime=1",
            404,
            MISSING,
            "File/Directory /m/n does not exist.",
        ),
        (
            "POST",
            "/m/n",
            "op=TRUNCATE&newlength=0",
            404,
            MISSING,
            "File does not exist: /m/n",
        ),
        (
            "GET",
            "/m/d",
            "op=OPEN",
            404,
            MISSING,
            "Path is not a file: /m/d",
        ),
        (
            "GET",
            "/m/d",
            "op=GETFILEBLOCKLOCATIONS",
            404,
            MISSING,
            "Path is not a file: /m/d",
        ),
        (
            "PUT",
            "/m/d",
            "op=CREATE&overwrite=true",
            403,
            EXISTS,
            "/m/d already exists as a directory",
        ),
        (
            "PUT",
            "/m/f",
            "op=CREATE",
            403,
            EXISTS,
            "/m/f already exists",
        ),
        (
            "PUT",
            "/m/f",
            "op=MKDIRS",
            403,
            EXISTS,
            "Path is not a directory: /m/f",
        ),
        (
            "POST",
            "/m/d",
            "op=APPEND",
            403,
            EXISTS,
            "Cannot append to directory /m/d; already exists as a directory.",
        ),
        (
            "DELETE",
            "/m/d",
            "op=DELETE",
            403,
            "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
            "`/m/d is non empty': Directory is not empty",
        ),
        (
            "GET",
            "/m/f",
            "op=CHECKACCESS&fsaction=-w-&user.name=nobody9",
            403,
            DENIED,
            "",
        ),
        ("GET", "/m/f/x", "op=GETFILESTATUS", 403, DENIED, ""),
        (
            "PUT",
            "/m/f/x",
            "op=MKDIRS",
            403,
            "org.apache.hadoop.fs.ParentNotDirectoryException",
            "",
        ),
        ("GET", "/m/f", "op=GETXATTRS", 400, UNSUPPORTED, ""),
    ] {
        let got = door.hdfs().refusal(method, path, query);
        let message = if message.is_empty() {
            got.2.clone()
        } else {
            message.to_owned()
        };
        assert_eq!(
            got,
            (status, class.to_owned(), message),
            "{method} {path} {query}"
        );
    }
}

#[test]
fn nobody_acts_as_somebody_else_unless_allowed() {
    let door = Door::with("[webhdfs]\nproxy_users = ['hue']\n");
    let home = |query: &str| {
        door.hdfs()
            .json("/", &format!("op=GETHOMEDIRECTORY{query}"))["Path"]
            .clone()
    };
    assert_eq!(home(""), "/user/dr.who");
    assert_eq!(home("&user.name=alice"), "/user/alice");
    assert_eq!(home("&user.name=hue&doas=bob"), "/user/bob");
    let got = door
        .hdfs()
        .refusal("GET", "/", "op=GETHOMEDIRECTORY&user.name=bob&doas=al");
    let class = "org.apache.hadoop.security.authorize.AuthorizationException".to_owned();
    assert_eq!(
        got,
        (
            403,
            class,
            "User: bob is not allowed to impersonate al".to_owned()
        )
    );
    assert_eq!(
        door.hdfs().json("/", "op=GETDELEGATIONTOKEN"),
        serde_json::json!({ "Token": null })
    );
    let trash = door.hdfs().json("/", "op=GETTRASHROOT&user.name=al");
    assert_eq!(trash["Path"], "/user/al/.Trash");
}
