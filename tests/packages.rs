//! What is installed besides the program: the manual and the completions say all that the program knows, and `install`
//! puts every file where others look for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::small_disk::in_namespace;
use crate::common::{Page, TempDir, binary};

/// Its output; fails where it does.
#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

/// The manual, as packages have it.
#[track_caller]
fn manual(dir: &TempDir) -> PathBuf {
    let manual = dir.path().join("manual");
    done(Command::new(dist("manual")).arg(binary()).arg(&manual));
    manual
}

/// The subcommands, as `--help` lists them.
fn subcommands() -> Vec<String> {
    let help = done(Command::new(binary()).arg("--help"));
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_manual_has_every_subcommand_and_every_key() {
    let dir = TempDir::new();
    let manual = manual(&dir);
    let read = |page: &str| std::fs::read_to_string(manual.join("man").join(page)).unwrap();
    let whole = read("runabout.1");
    let subcommands = subcommands();
    assert!(subcommands.len() > 10, "{subcommands:?}");
    for name in subcommands {
        assert!(whole.contains(&format!("runabout-{name} (1)")), "{name}");
        assert!(read(&format!("runabout-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
    }
    // An unknown key is told which there are.
    let page = read("runabout.toml.5").replace('\\', "");
    for table in ["", "access", "tls", "limits", "output", "runs", "retention", "sessions"] {
        let config = dir.path().join("config.toml");
        let wrong = if table.is_empty() { "no-such-key = 1".into() } else { format!("[{table}]\nno-such-key = 1") };
        std::fs::write(&config, wrong).unwrap();
        let said = Command::new(binary()).args(["serve", "--check", "--config"]).arg(&config).output().unwrap();
        let said = String::from_utf8(said.stderr).unwrap();
        for key in said.trim().split("allowed: ").nth(1).unwrap().split(", ") {
            assert!(
                page.contains(key),
                "{table}.{key} is not in runabout.toml(5), which is the table of docs/configuration.md"
            );
        }
    }
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef runabout"), ("fish", "complete -c runabout")] {
        let script = done(Command::new(binary()).args(["completions", shell]));
        assert!(script.contains(sign) && script.contains("on-interrupt"), "{shell}");
        let dir = TempDir::new();
        let file = dir.path().join("script");
        std::fs::write(&file, script).unwrap();
        // fish and zsh are where their users are.
        if Command::new(shell).arg("-c").arg("true").output().is_ok() {
            done(Command::new(shell).arg("-n").arg(file));
        }
    }
    let closed =
        Command::new("sh").args(["-c", &format!("{} completions bash | head -n 1", binary())]).output().unwrap();
    assert!(closed.stderr.is_empty(), "{closed:?}");
    assert_eq!(Command::new(binary()).args(["completions", "tcsh"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn install_puts_everything_in_its_place_and_keeps_what_was_changed() {
    let dir = TempDir::new();
    let manual = manual(&dir);
    let stage = dir.path().join("stage");
    done(Command::new(dist("stage")).arg(binary()).arg(manual).arg(&stage));
    let root = dir.path().join("root");
    let install = || done(Command::new(stage.join("install")).arg("/opt/x").env("DESTDIR", &root));
    install();
    let unit = root.join("opt/x/lib/systemd/system/runabout.service");
    let text = std::fs::read_to_string(unit).unwrap();
    assert!(text.contains("ExecStart=/opt/x/bin/runabout serve --config /etc/runabout/config.toml\n"), "{text}");
    for file in [
        "opt/x/bin/runabout",
        "opt/x/lib/systemd/system/runabout@.service",
        "opt/x/lib/systemd/system/runabout.socket",
        "opt/x/lib/systemd/system/runabout-keep.socket",
        "opt/x/lib/systemd/system/runabout-keep@.service",
        "opt/x/lib/systemd/system/runabout-keep-of@.socket",
        "opt/x/lib/systemd/system/runabout-keep-of@.service",
        "opt/x/lib/systemd/system/runabout-runs.slice",
        "opt/x/lib/systemd/user/runabout.service",
        "opt/x/lib/systemd/user/runabout-keep.socket",
        "opt/x/lib/systemd/user/runabout-keep@.service",
        "opt/x/share/man/man1/runabout-run.1",
        "opt/x/share/man/man5/runabout.toml.5",
        "opt/x/share/bash-completion/completions/runabout",
        "opt/x/share/zsh/site-functions/_runabout",
        "opt/x/share/fish/vendor_completions.d/runabout.fish",
        "opt/x/lib/sysusers.d/runabout.conf",
        "etc/runabout/config.toml",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    std::fs::write(root.join("etc/runabout/config.toml"), "# mine").unwrap();
    install();
    assert_eq!(std::fs::read_to_string(root.join("etc/runabout/config.toml")).unwrap(), "# mine");

    // From the source tree, where the manual need not have been made.
    done(Command::new(dist("install")).args(["--remove", "/opt/x"]).env("DESTDIR", &root));
    let left = done(Command::new("find").arg(&root).args(["-type", "f", "-printf", "%P\n"]));
    assert_eq!(left, "etc/runabout/config.toml\n", "what somebody has written stays");
}

#[test]
fn the_tarball_has_the_documentation_and_the_examples() {
    let dir = TempDir::new();
    let stage = dir.path().join("stage");
    done(Command::new(dist("stage")).arg(binary()).arg(manual(&dir)).arg(&stage));
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = std::fs::read_to_string(source.join("Cargo.toml")).unwrap();
    for name in ["README.md", "docs/service.md", "examples/watch.sh", "examples/client.rs", "examples/nightly.toml"] {
        assert!(stage.join(name).exists(), "{name}");
    }
    for asset in [
        "target/manual/README.md",
        "LICENSE-*",
        "docs/*.*",
        "examples/[fsw]*.sh",
        "examples/*.rs",
        "examples/nightly.*",
    ] {
        assert!(package.contains(&format!("[\"{asset}\", \"usr/share/doc/runabout/")), "{asset}");
    }
    assert!(!stage.join("examples/demo.sh").exists(), "it is for the source tree");
    let recipe = std::fs::read_to_string(stage.join("examples/Containerfile")).unwrap();
    let copied: Vec<&str> = recipe.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next()).collect();
    assert!(!copied.is_empty() && copied.iter().all(|name| stage.join(name).exists()), "{copied:?}");
    // A link that leads nowhere is found by the first who follows it; what is packed has fewer files than the source.
    let docs = std::fs::read_dir(stage.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    for page in ["README.md", "SECURITY.md"].map(|name| stage.join(name)).into_iter().chain(docs) {
        Page::read(&page).linked();
    }
}

#[test]
fn the_packages_scripts_follow_nobodys_links() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root installs packages");
        return;
    }
    in_namespace("packages::the_packages_scripts_follow_nobodys_links", || {
        let dir = TempDir::new();
        let script = r#"
            set -eu
            # A machine of its own, as far as the scripts look: its state, its accounts, no service manager.
            mount -t tmpfs tmpfs /var/lib
            mount -t tmpfs tmpfs /run
            for file in passwd group; do
                grep -v ^runabout: /etc/$file >"$DIR/$file" || true
            done
            echo runabout:x:4711:4711::/var/lib/runabout/home:/bin/sh >>"$DIR/passwd"
            echo runabout:x:4711: >>"$DIR/group"
            for file in passwd group; do mount --bind "$DIR/$file" /etc/$file; done
            for stub in deb-systemd-helper deb-systemd-invoke runabout; do
                printf '#!/bin/sh\nexit 0\n' >"$DIR/$stub" && chmod 755 "$DIR/$stub"
            done
            PATH=$DIR:$PATH

            "$DIST/postinst" configure ''
            stat -c '%U %a %n' /var/lib/runabout /var/lib/runabout/home

            # The user leads whoever makes its home to a directory of root's, and to what is not there yet.
            mkdir -m 755 /var/lib/roots
            for target in roots missing; do
                rm -rf /var/lib/runabout/home
                ln -s /var/lib/$target /var/lib/runabout/home
                "$DIST/postinst" configure 1.0 >/dev/null
            done
            stat -c '%U %a %n' /var/lib/roots
            [ ! -e /var/lib/missing ] || echo 'it made what a link led to'

            # A daemon that works there holds the directory, whatever became of the lock file in it.
            mkfifo /var/lib/runabout/runabout.lock
            flock /var/lib/runabout "$DIST/postrm" purge
            ls -d /var/lib/runabout
            "$DIST/postrm" purge
            [ ! -e /var/lib/runabout ] && stat -c '%U %a %n' /var/lib/roots
        "#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).env("DIR", dir.path()).env("DIST", dist("debian"));
        let said = done(&mut shell);
        let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("  su")).collect();
        let wanted = [
            "runabout 700 /var/lib/runabout",
            "runabout 700 /var/lib/runabout/home",
            "root 755 /var/lib/roots",
            "runabout: a daemon that somebody started by hand works in /var/lib/runabout, which stays",
            "/var/lib/runabout",
            "root 755 /var/lib/roots",
        ];
        let told: Vec<&str> = lines.into_iter().filter(|line| !line.contains("systemd does not run here")).collect();
        assert_eq!(told, wanted, "{said}");
    });
}
