//! A local stack for these tests alone.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const PREFIX: &str = "local-stack-";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running emulator with the deployed product, on a free port of loopback and in a folder of its
/// own. It ends with this value, and with this process, however that ends: its other end of the
/// pipe tells it.
pub(crate) struct Stack {
    pipe: Option<ChildStdin>,
    home: PathBuf,
    addresses: Value,
}

impl Stack {
    /// Starts the emulator and deploys the binaries that stand beside this one.
    pub(crate) fn start() -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
        forget_dead_stacks(home);
        let home = home.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&home).expect("a folder");
        let mut stack = Self { pipe: None, home, addresses: Value::Null };
        let told = File::create(stack.home.join("up.log")).expect("a file");
        let mut up = python("stack.py")
            .args(["up", "--until-eof"])
            .env("STACK_HOME", &stack.home)
            .env("BINARIES", binaries())
            .env("PORT", free_port().to_string())
            .env("AUTH", "true")
            .stdin(Stdio::piped())
            .stdout(told.try_clone().expect("a file"))
            .stderr(told)
            .spawn()
            .expect("Python runs");
        stack.pipe = up.stdin.take();
        let status = up.wait().expect("an end");
        let told = stack.read("up.log");
        assert!(status.success(), "the local stack did not come up:\n{told}");
        stack.addresses = serde_json::from_str(&stack.read("stack.json")).expect("JSON");
        stack
    }

    /// An entry of `stack.json`.
    pub(crate) fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().unwrap_or_else(|| panic!("stack.json has no {name}"))
    }

    /// Signs someone in at the stack's user pool.
    pub(crate) fn token(&self, role: &str, client: &str) -> String {
        let output = python("sign_in.py")
            .arg("--stack")
            .arg(self.home.join("stack.json"))
            .args(["--role", role, "--client", client])
            .output()
            .expect("Python runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no token for {role}: {told}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// The emulator's process; the functions' are its children.
    pub(crate) fn process(&self) -> u64 {
        let running: Value = serde_json::from_str(&self.read("emulator.json")).unwrap_or_default();
        running["pid"].as_u64().expect("a running emulator")
    }

    /// What the emulator logged, and the functions within it.
    pub(crate) fn log(&self) -> String {
        self.read("emulator.log")
    }

    /// Where to look after a failure; the folder stays until the next run.
    pub(crate) fn folder(&self) -> String {
        self.home.display().to_string()
    }

    fn read(&self, name: &str) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(self.home.join(name)) {
            file.read_to_end(&mut bytes).expect("readable");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let running: Value = serde_json::from_str(&self.read("emulator.json")).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        if let Some(process) = running["pid"].as_u64() {
            while is_alive(process) {
                if Instant::now() > deadline {
                    eprintln!("the emulator (process {process}) did not end");
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        if !thread::panicking() {
            drop(fs::remove_dir_all(&self.home));
        }
    }
}

/// The Python of the virtual environment, about to run a program of `local/`.
fn python(program: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = root.join(".local/venv");
    assert!(
        venv.join(".installed").is_file(),
        "the local stack is not installed (no {}): `make test` installs it and runs the tests",
        venv.display(),
    );
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(root.join("local").join(program));
    // What the shell says of another stack is not meant for this one.
    for name in ["STACK_HOME", "BINARIES", "PORT", "AUTH", "AWS_ENDPOINT_URL", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
}

/// `target/debug` of this very build: the functions stand where the test's folder `deps` stands.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.parent().and_then(Path::parent).expect("two folders up");
    folder.to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn is_alive(process: u64) -> bool {
    // A zombie that nobody has buried yet has no command line.
    let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains("emulator.py")
}

/// Removes the folders of runs that ended without doing so.
fn forget_dead_stacks(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
