//! Two tenants and one who belongs to none: a table of who may do what to what, each cell tried, and by tricks as well.

use std::time::Duration;

use moongate_tests::{Gateway, Request, Response, http, wait};

const CONFIG: &str = "
[auth]
methods = ['simple']
[auth.groups]
sources = []
[[tenant]]
name = 'a'
paths = ['/a']
collections = ['ca']
users = ['ann']
[[tenant]]
name = 'b'
paths = ['/b', '/shared/b']
collections = ['cb']
users = ['bob']
";

/// A path with who asks.
fn by(user: &str, target: &str) -> String {
    let mark = if target.contains('?') { '&' } else { '?' };
    format!("{target}{mark}user.name={user}")
}

fn send(address: std::net::SocketAddr, request: &Request) -> Response {
    http::send(address, request).unwrap()
}

fn file(gateway: &Gateway, method: &str, user: &str, target: &str, body: &[u8]) -> Response {
    let request = Request::new(method, &by(user, target)).body(body);
    send(gateway.file(), &request)
}

/// Files of both, and one of nobody.
fn filled(config: &str) -> Gateway {
    let gateway = Gateway::fresh(config);
    for (user, path) in [
        ("ann", "/a/f"),
        ("bob", "/b/f"),
        ("bob", "/shared/b/f"),
        ("carl", "/free/f"),
    ] {
        assert_eq!(
            file(&gateway, "PUT", user, path, b"secret").status,
            201,
            "{path}"
        );
    }
    gateway
}

fn is_refused(response: &Response, what: &str) {
    assert!(
        matches!(response.status, 400 | 403 | 404),
        "{what}: {}",
        response.status
    );
    assert!(
        !response.body.windows(6).any(|part| part == b"secret"),
        "{what} leaks"
    );
}

#[test]
fn files_are_for_their_tenant_by_every_protocol() {
    let gateway = filled(CONFIG);
    for (user, own, others) in [
        ("ann", &["/a"][..], &["/b", "/shared/b", "/free"][..]),
        ("bob", &["/b", "/shared/b"], &["/a", "/free"]),
        ("carl", &["/free"], &["/a", "/b", "/shared/b"]),
    ] {
        for folder in own {
            let path = format!("{folder}/f");
            assert_eq!(
                file(&gateway, "GET", user, &path, b"").body,
                b"secret",
                "{user} {path}"
            );
            let open = file(
                &gateway,
                "GET",
                user,
                &format!("/webhdfs/v1{path}?op=OPEN&noredirect=false"),
                b"",
            );
            assert!(
                matches!(open.status, 200 | 307),
                "{user} {path}: {}",
                open.status
            );
            assert_eq!(
                file(&gateway, "GET", user, &format!("{folder}/"), b"").status,
                200
            );
        }
        for folder in others {
            let path = format!("{folder}/f");
            for target in [
                path.clone(),
                format!("{folder}/"),
                format!("{folder}/?archive=tar"),
                format!("{folder}/?usage=true"),
                format!("{folder}/?shards=1&shard=0"),
                format!("{path}?metadata=true"),
                format!("/webhdfs/v1{path}?op=OPEN"),
                format!("/webhdfs/v1{path}?op=open"),
                format!("/webhdfs/v1{path}?OP=GETFILESTATUS"),
                format!("/webhdfs/v1{folder}?op=LISTSTATUS"),
                format!("/webhdfs/v1{folder}?op=GETCONTENTSUMMARY"),
                format!("/webhdfs/v1{path}?op=GETFILECHECKSUM"),
            ] {
                is_refused(
                    &file(&gateway, "GET", user, &target, b""),
                    &format!("{user} GET {target}"),
                );
            }
            let mine = own[0];
            for (method, target) in [
                ("PUT", path.clone()),
                ("POST", format!("{folder}/")),
                ("DELETE", path.clone()),
                ("DELETE", format!("{folder}?recursive=true")),
                ("POST", format!("{mine}/stolen?cp.from={path}")),
                ("POST", format!("{mine}/stolen?mv.from={path}")),
                ("POST", format!("{folder}/given?mv.from={mine}/f")),
                ("POST", format!("{folder}/given?cp.from={mine}/f")),
                ("PUT", format!("/webhdfs/v1{path}?op=CREATE&overwrite=true")),
                ("POST", format!("/webhdfs/v1{path}?op=APPEND")),
                (
                    "DELETE",
                    format!("/webhdfs/v1{folder}?op=DELETE&recursive=true"),
                ),
                (
                    "PUT",
                    format!("/webhdfs/v1{path}?op=RENAME&destination={mine}/stolen"),
                ),
                (
                    "PUT",
                    format!("/webhdfs/v1{mine}/f?op=RENAME&destination={folder}/given"),
                ),
                (
                    "PUT",
                    format!("/webhdfs/v1{mine}/f?op=RENAME&Destination={folder}/given"),
                ),
                ("PUT", format!("/webhdfs/v1{folder}/d?op=MKDIRS")),
                (
                    "POST",
                    format!("/webhdfs/v1{mine}/f?op=CONCAT&sources={path}"),
                ),
            ] {
                is_refused(
                    &file(&gateway, method, user, &target, b"x"),
                    &format!("{user} {method} {target}"),
                );
            }
        }
    }
    // Nothing of all that has changed anything.
    for (user, path) in [
        ("ann", "/a/f"),
        ("bob", "/b/f"),
        ("bob", "/shared/b/f"),
        ("carl", "/free/f"),
    ] {
        assert_eq!(
            file(&gateway, "GET", user, path, b"").body,
            b"secret",
            "{path}"
        );
    }
}

#[test]
fn no_spelling_of_a_path_crosses_the_border() {
    let gateway = filled(CONFIG);
    for path in [
        "/b/f",
        "//b/f",
        "/b//f",
        "/./b/f",
        "/a/../b/f",
        "/a/%2e%2e/b/f",
        "/a/..%2fb/f",
        "/%62/f",
        "/b%2ff",
        "/b/f/",
        "/a/./../b/f",
        "/%2fb/f",
        "/a/%2e%2e%2fb%2ff",
        "/b/%66",
        "/;/../b/f",
        "/a\\..\\b\\f",
    ] {
        for prefix in ["", "/webhdfs/v1"] {
            let op = if prefix.is_empty() { "" } else { "?op=OPEN" };
            let target = format!("{prefix}{path}{op}");
            is_refused(&file(&gateway, "GET", "ann", &target, b""), &target);
            let range = Request::get(&by("ann", &target)).header("Range", "bytes=0-1");
            is_refused(&send(gateway.file(), &range), &target);
        }
    }
    // Who belongs to nobody lists the root, and takes nothing of the tenants along.
    assert_eq!(file(&gateway, "GET", "carl", "/", b"").status, 200);
    for target in [
        "/?archive=tar",
        "/?recursive=true",
        "/?usage=true",
        "/shared/?archive=tar",
        "/?shards=1&shard=0",
        "/webhdfs/v1/?op=GETCONTENTSUMMARY",
    ] {
        is_refused(&file(&gateway, "GET", "carl", target, b""), target);
    }
    is_refused(
        &file(&gateway, "DELETE", "carl", "/shared?recursive=true", b""),
        "delete around",
    );
    for target in [
        "/",
        "/shared",
        "/webhdfs/v1/?op=LISTSTATUS",
        "/webhdfs/v1/shared?op=LISTSTATUS",
    ] {
        is_refused(&file(&gateway, "GET", "ann", target, b""), target);
    }
}

#[test]
fn lists_are_looked_at_line_by_line() {
    let gateway = filled(CONFIG);
    for (port, list) in [
        (gateway.file(), "\"/a/f\"\n\"/b/f\"\n"),
        (gateway.file(), "{\"path\":\"/b/f\",\"name\":\"x\"}\n"),
        (gateway.file(), "\"//b//f\"\n"),
        (gateway.image(), "\"/b/f\"\n"),
    ] {
        for call in ["/batch/get", "/batch/delete"] {
            let request = Request::new("POST", &by("ann", call)).body(list.as_bytes());
            is_refused(&send(port, &request), &format!("{call} {list}"));
        }
    }
    let own = Request::new("POST", &by("ann", "/batch/get")).body(b"\"/a/f\"\n");
    assert_eq!(send(gateway.file(), &own).status, 200);
    assert_eq!(file(&gateway, "GET", "bob", "/b/f", b"").body, b"secret");
}

#[test]
fn images_are_for_the_tenant_of_their_collection() {
    let gateway = Gateway::fresh(CONFIG);
    let image = |method: &str, user: &str, target: &str, body: &[u8]| {
        send(
            gateway.image(),
            &Request::new(method, &by(user, target)).body(body),
        )
    };
    let assigned = image("GET", "ann", "/dir/assign?collection=ca", b"");
    let fid = assigned.json()["fid"].as_str().unwrap().to_owned();
    assert_eq!(
        image("PUT", "ann", &format!("/{fid}"), b"secret").status,
        201
    );
    assert_eq!(image("GET", "ann", &format!("/{fid}"), b"").body, b"secret");
    let slashed = fid.replace(',', "/");
    for user in ["bob", "carl"] {
        for (method, target) in [
            ("GET", format!("/{fid}")),
            ("HEAD", format!("/{fid}")),
            ("GET", format!("/{slashed}")),
            ("GET", format!("/{slashed}/name.png")),
            ("GET", format!("/{fid}.png?width=5")),
            ("PUT", format!("/{fid}")),
            ("DELETE", format!("/{fid}")),
            ("GET", "/dir/assign?collection=ca".to_owned()),
            ("POST", "/submit?collection=ca".to_owned()),
            ("POST", "/batch?collection=ca".to_owned()),
            ("GET", "/col/delete?collection=ca".to_owned()),
            ("GET", "/collection/info?collection=ca".to_owned()),
            ("GET", format!("/dir/lookup?fileId={fid}")),
        ] {
            is_refused(
                &image(method, user, &target, b"x"),
                &format!("{user} {method} {target}"),
            );
        }
        let form = Request::new("POST", &by(user, "/dir/assign"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(b"collection=ca");
        is_refused(&send(gateway.image(), &form), "a form");
        for call in ["/batch/get", "/batch/delete"] {
            let list = format!("\"{fid}\"\n");
            is_refused(&image("POST", user, call, list.as_bytes()), call);
        }
    }
    for page in ["/dir/status", "/vol/status", "/", "/status"] {
        is_refused(&image("GET", "bob", page, b""), page);
    }
    is_refused(
        &image("GET", "ann", "/dir/assign", b""),
        "the collection of nobody",
    );
    let status = send(gateway.admin(), &Request::get(&by("ann", "/status")));
    is_refused(&status, "the admin port");
    assert_eq!(image("GET", "ann", &format!("/{fid}"), b"").body, b"secret");
}

#[test]
fn limits_say_which_and_when() {
    let config = CONFIG.replace(
        "users = ['ann']",
        "users = ['ann']\nbytes_max = 20000\nobjects_max = 3\n",
    );
    let config = config.replace("users = ['bob']", "users = ['bob']\nrequests_per_sec = 5\n");
    let mut gateway = Gateway::fresh(&config);
    assert_eq!(
        file(&gateway, "PUT", "ann", "/a/1", &[1; 15_000]).status,
        201
    );
    let over = file(&gateway, "PUT", "ann", "/a/2", &[1; 15_000]);
    assert_eq!(over.status, 507);
    let text = over.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.contains("tenant a") && text.contains("over its quota of 20000 (bytes_max)"),
        "{text}"
    );
    gateway.terminate();
    gateway.restart();
    let over = file(&gateway, "PUT", "ann", "/a/2", &[1; 15_000]);
    assert_eq!(over.status, 507, "counted before anything is served");
    assert_eq!(file(&gateway, "DELETE", "ann", "/a/1", b"").status, 204);
    wait::until_true(
        "what is deleted makes room",
        Duration::from_secs(90),
        || file(&gateway, "PUT", "ann", "/a/2", &[1; 15_000]).status == 201,
    );
    let answers: Vec<Response> = (0..40)
        .map(|_| file(&gateway, "GET", "bob", "/b/", b""))
        .collect();
    let busy = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("5 requests a second are fewer than 40");
    assert!(busy.header("retry-after").is_some());
    let text = busy.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.contains("5 requests a second (requests_per_sec)"),
        "{text}"
    );
    let metrics = send(gateway.admin(), &Request::get(&by("carl", "/metrics")));
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        metrics.contains("tenant_stored_bytes{tenant=\"a\"}")
            && metrics.contains("tenant_refused{tenant=\"b\"}")
    );
}

/// A tenant's files fill its share of the cache, and no more of it; what another has read stays.
#[test]
fn a_share_of_the_cache_is_nobody_elses() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let disk = tempfile::tempdir().unwrap();
    for folder in &folders {
        for n in 0..40 {
            std::fs::write(folder.path().join(format!("f{n}")), vec![n; 1 << 20]).unwrap();
        }
    }
    let gateway = Gateway::fresh(&format!(
        "[cache]\nmemory = '64 MiB'\ndirs = ['{}']\ndisk_bytes_max = '64 MiB'\n\
         [[mount]]\npath = '/a'\nstore = 'file://{}'\n[[mount]]\npath = '/shared'\nstore = 'file://{}'\n\
         {CONFIG}cache_share = 25\n[[tenant]]\nname = 'c'\npaths = ['/a']\nusers = ['cem']\ncache_share = 25\n",
        disk.path().display(),
        folders[0].path().display(),
        folders[1].path().display()
    ).replacen("paths = ['/a']\ncollections", "paths = ['/nowhere']\ncollections", 1));
    let count = |name: &str, tenant: &str| {
        let request = Request::get(&by("carl", "/metrics"));
        let text = send(gateway.admin(), &request).text();
        let start = format!("moongate_{name}{{tenant=\"{tenant}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |value| value.trim().parse::<u64>().unwrap())
    };
    let share = 16 << 20;
    let read = |n: u8| {
        let got = file(&gateway, "GET", "cem", &format!("/a/f{n}"), b"");
        assert_eq!((got.status, got.body.len(), got.body[0]), (200, 1 << 20, n));
    };
    (0..40).for_each(read);
    (30..40).for_each(read);
    wait::until_true("the share is full", Duration::from_secs(60), || {
        count("tenant_cache_disk_bytes", "c") > share / 2
            && count("tenant_cache_ram_bytes", "c") > share / 2
    });
    for tier in ["ram", "disk"] {
        let held = count(&format!("tenant_cache_{tier}_bytes"), "c");
        assert!(held <= share, "{tier}: {held}");
        assert!(
            count(&format!("tenant_cache_{tier}_evictions"), "c") > 0,
            "{tier}"
        );
        assert_eq!(
            count(&format!("tenant_cache_{tier}_bytes"), "b"),
            0,
            "{tier}"
        );
    }
}
