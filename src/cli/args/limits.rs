//! The words of limits, which a run and a queue take alike.

use clap::Args;

use super::numbers::whole;
use crate::run::{CPU_PERCENT_MAX, Limits, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, TASKS_MAX};

/// What a run may use.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitOptions {
    /// All its processes together get this much memory: 512M, 2G, or bytes
    #[arg(long, value_name = "SIZE", value_parser = memory_bytes)]
    pub memory: Option<i64>,
    /// They get so many processors' time: 0.5, 2
    #[arg(long, value_name = "N", value_parser = cpu_percent)]
    pub cpus: Option<i64>,
    /// They may be so many, threads counted
    #[arg(long, value_name = "N", value_parser = whole::<1, TASKS_MAX>)]
    pub tasks: Option<i64>,
}

impl LimitOptions {
    /// As the daemon takes them.
    pub fn limits(&self) -> Limits {
        Limits { memory_bytes: self.memory, cpu_percent: self.cpus, tasks: self.tasks }
    }
}

fn memory_bytes(text: &str) -> Result<i64, String> {
    let told = || "it must be a size like 512M, 2G or 1073741824".to_owned();
    let letters = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[letters.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1_i64 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(told()),
    };
    let number: f64 = letters.parse().map_err(|_| told())?;
    let bytes = number * factor as f64;
    if !(MEMORY_BYTES_MIN as f64..=MEMORY_BYTES_MAX as f64).contains(&bytes) {
        return Err("it must be at least 1M".to_owned());
    }
    Ok(bytes as i64)
}

fn cpu_percent(text: &str) -> Result<i64, String> {
    let most = CPU_PERCENT_MAX / 100;
    let told = || format!("it must be a number of processors from 0.01 to {most}, like 0.5");
    let percent = (text.parse::<f64>().map_err(|_| told())? * 100.0).round();
    if (1.0..=CPU_PERCENT_MAX as f64).contains(&percent) { Ok(percent as i64) } else { Err(told()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_processors_are_read_as_people_write_them() {
        for (text, bytes) in
            [("512M", 512 << 20), ("2g", 2 << 30), ("1.5GiB", 3 << 29), ("1048576", 1 << 20), ("4MB", 4 << 20)]
        {
            assert_eq!(memory_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "M", "512X", "-1G", "1023K", "nan", "1e30G"] {
            assert!(memory_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!((cpu_percent("0.5"), cpu_percent("2"), cpu_percent("0.01")), (Ok(50), Ok(200), Ok(1)));
        assert!(cpu_percent("0").is_err() && cpu_percent("1001").is_err() && cpu_percent("nan").is_err());
    }
}
