//! Where the web page's files are, whose names hold the hash of what they say.

use runabout::http::page::FILES;

/// The path of the file of this name: `/page/app-HASH.js` for `app.js`.
#[track_caller]
pub fn page_file(name: &str) -> &'static str {
    let (stem, kind) = name.rsplit_once('.').unwrap();
    let is_it = |path: &str| {
        let rest = path.strip_prefix("/page/").and_then(|path| path.strip_prefix(stem));
        let hash = rest.and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.strip_suffix(kind));
        hash.is_some_and(|hash| hash.trim_end_matches('.').bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    FILES.iter().map(|file| file.path).find(|path| is_it(path)).unwrap()
}
