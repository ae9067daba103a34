//! The table of times: what is due when, and why. Each row was worked out by hand from the rules of the contract and the
//! zone's changes.

use super::*;
use crate::clock::UnixMs;

struct Row {
    zone: &'static str,
    schedule: &'static [&'static str],
    after: &'static str,
    due: &'static [&'static str],
    why: &'static str,
}

const fn row(
    zone: &'static str,
    schedule: &'static [&'static str],
    after: &'static str,
    due: &'static [&'static str],
    why: &'static str,
) -> Row {
    Row { zone, schedule, after, due, why }
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const CASABLANCA: &str = "Africa/Casablanca";
const TROLL: &str = "Antarctica/Troll";
const APIA: &str = "Pacific/Apia";
const BEIRUT: &str = "Asia/Beirut";
const SANTIAGO: &str = "America/Santiago";
const KATHMANDU: &str = "Asia/Kathmandu";
const UTC: &str = "UTC";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // A gap of an hour: Berlin, 2024-03-31, 02:00+01 is 03:00+02.
    row(BERLIN, &["30 2 * * *"], "2024-03-30T12:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"], "fixed: what the gap swallowed is due at its end, and the day after as ever"),
    row(BERLIN, &["0 2 * * *"], "2024-03-30T12:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"], "the first time of the gap is in it"),
    row(BERLIN, &["59 1 * * *"], "2024-03-30T12:00:00+01:00", &["2024-03-31T01:59:00+01:00", "2024-04-01T01:59:00+02:00"], "the minute before the gap is not"),
    row(BERLIN, &["0 3 * * *"], "2024-03-30T12:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T03:00:00+02:00"], "nor is its end"),
    row(BERLIN, &["0 2,3 * * *"], "2024-03-31T00:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"], "what was swallowed and what is due at the end are one firing"),
    row(BERLIN, &["0,15,30 2 * * *"], "2024-03-31T00:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"], "three swallowed times are one firing"),
    row(BERLIN, &["0 2,14 * * *"], "2024-03-31T00:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-03-31T14:00:00+02:00"], "a list is fixed, too"),
    row(BERLIN, &["30 1-5 * * *"], "2024-03-31T01:00:00+01:00", &["2024-03-31T01:30:00+01:00", "2024-03-31T03:00:00+02:00", "2024-03-31T03:30:00+02:00"], "a range that begins with a number is fixed"),
    row(BERLIN, &["*/30 * * * *"], "2024-03-31T01:00:00+01:00", &["2024-03-31T01:30:00+01:00", "2024-03-31T03:00:00+02:00"], "an interval goes on with the clock"),
    row(BERLIN, &["30 * * * *"], "2024-03-31T01:00:00+01:00", &["2024-03-31T01:30:00+01:00", "2024-03-31T03:30:00+02:00"], "an interval owes nothing for a gap"),
    row(BERLIN, &["* 2 * * *"], "2024-03-30T12:00:00+01:00", &["2024-04-01T02:00:00+02:00"], "its minute begins with *: an interval, and the whole hour is missing"),
    row(BERLIN, &["0 */2 * * *"], "2024-03-31T00:30:00+01:00", &["2024-03-31T04:00:00+02:00"], "every second hour: 02:00 is missing, 04:00 comes"),
    row(BERLIN, &["@hourly"], "2024-03-31T00:30:00+01:00", &["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"], "@hourly is an interval"),
    row(BERLIN, &["@daily"], "2024-03-30T12:00:00+01:00", &["2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"], "23 hours apart"),
    row(BERLIN, &["30 2 * * 1"], "2024-03-30T12:00:00+01:00", &["2024-04-01T02:30:00+02:00"], "a gap of a day that does not fit swallows nothing"),
    row(BERLIN, &["30 2 * * *"], "2024-03-31T03:00:00+02:00", &["2024-04-01T02:30:00+02:00"], "a restart right at the end of the gap does not fire again"),
    row(BERLIN, &["30 2 * * *"], "2024-03-31T01:59:59+01:00", &["2024-03-31T03:00:00+02:00"], "a restart a second before the gap does"),
    row(BERLIN, &["15 30 2 * * *"], "2024-03-30T12:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:15+02:00"], "seconds are swallowed as well"),
    row(BERLIN, &["*/20 30 2 * * *"], "2024-03-31T00:00:00+01:00", &["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00", "2024-04-01T02:30:20+02:00"], "the kind is by minute and hour, not by seconds"),
    // A fold of an hour: Berlin, 2024-10-27, 03:00+02 is 02:00+01.
    row(BERLIN, &["30 2 * * *"], "2024-10-26T12:00:00+02:00", &["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"], "fixed: in the first pass only"),
    row(BERLIN, &["30 2 * * *"], "2024-10-27T02:15:00+01:00", &["2024-10-28T02:30:00+01:00"], "a restart in the second pass does not fire again"),
    row(BERLIN, &["0 2 * * *"], "2024-10-27T02:59:59+02:00", &["2024-10-28T02:00:00+01:00"], "nor one right before it"),
    row(BERLIN, &["0 3 * * *"], "2024-10-26T12:00:00+02:00", &["2024-10-27T03:00:00+01:00", "2024-10-28T03:00:00+01:00"], "03:00 comes once, when both passes are over"),
    row(BERLIN, &["0 2,14 * * *"], "2024-10-26T20:00:00+02:00", &["2024-10-27T02:00:00+02:00", "2024-10-27T14:00:00+01:00"], "a list is fixed: once"),
    row(BERLIN, &["0 1-5 * * *"], "2024-10-27T01:30:00+02:00", &["2024-10-27T02:00:00+02:00", "2024-10-27T03:00:00+01:00"], "a range is fixed: once"),
    row(BERLIN, &["*/30 * * * *"], "2024-10-27T01:45:00+02:00", &["2024-10-27T02:00:00+02:00", "2024-10-27T02:30:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T02:30:00+01:00", "2024-10-27T03:00:00+01:00"], "an interval is due in both passes, in order"),
    row(BERLIN, &["*/30 2 * * *"], "2024-10-27T02:10:00+01:00", &["2024-10-27T02:30:00+01:00", "2024-10-28T02:00:00+01:00"], "an interval after a restart in the second pass"),
    row(BERLIN, &["@hourly"], "2024-10-27T01:30:00+02:00", &["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00"], "an hour apart, always"),
    row(BERLIN, &["@daily"], "2024-10-26T12:00:00+02:00", &["2024-10-27T00:00:00+02:00", "2024-10-28T00:00:00+01:00"], "25 hours apart"),
    row(BERLIN, &["30 2 * * *", "30 * * * *"], "2024-10-27T02:00:00+02:00", &["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T03:30:00+01:00"], "a union: each by its own kind, once where they meet"),
    // New York, where the hour changes at 02:00 of both: gap 2024-03-10, fold 2024-11-03 (02:00-04 is 01:00-05).
    row(NEW_YORK, &["30 2 * * *"], "2024-03-09T12:00:00-05:00", &["2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"], "the gap of another zone"),
    row(NEW_YORK, &["30 1 * * *"], "2024-11-02T12:00:00-04:00", &["2024-11-03T01:30:00-04:00", "2024-11-04T01:30:00-05:00"], "the fold is the hour from one to two"),
    row(NEW_YORK, &["0 2 * * *"], "2024-11-02T12:00:00-04:00", &["2024-11-03T02:00:00-05:00", "2024-11-04T02:00:00-05:00"], "two o'clock comes once, after both passes"),
    row(NEW_YORK, &["0 9 * * 1-5"], "2024-03-08T12:00:00-05:00", &["2024-03-11T09:00:00-04:00"], "nine on Monday is nine by the new clock"),
    // Lord Howe moves by half an hour: 2024-10-06, 02:00+10:30 is 02:30+11; 2024-04-07, 02:00+11 is 01:30+10:30.
    row(LORD_HOWE, &["15 2 * * *"], "2024-10-05T12:00:00+10:30", &["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"], "a gap of half an hour"),
    row(LORD_HOWE, &["30 2 * * *"], "2024-10-05T12:00:00+10:30", &["2024-10-06T02:30:00+11:00", "2024-10-07T02:30:00+11:00"], "its end is no gap"),
    row(LORD_HOWE, &["45 1 * * *"], "2024-04-06T12:00:00+11:00", &["2024-04-07T01:45:00+11:00", "2024-04-08T01:45:00+10:30"], "a fold of half an hour"),
    row(LORD_HOWE, &["15 1 * * *"], "2024-04-06T12:00:00+11:00", &["2024-04-07T01:15:00+11:00", "2024-04-08T01:15:00+10:30"], "before the fold all is as ever"),
    row(LORD_HOWE, &["*/15 1 * * *"], "2024-04-07T01:20:00+11:00", &["2024-04-07T01:30:00+11:00", "2024-04-07T01:45:00+11:00", "2024-04-07T01:30:00+10:30", "2024-04-07T01:45:00+10:30"], "quarters in both passes"),
    row(LORD_HOWE, &["0 * * * *"], "2024-04-07T01:20:00+11:00", &["2024-04-07T02:00:00+10:30"], "the hour before the fold is an hour and a half long"),
    // Casablanca leaves its summer time for Ramadan: 2024-03-10, 03:00+01 is 02:00+00; 2024-04-14, 02:00+00 is 03:00+01.
    row(CASABLANCA, &["30 2 * * *"], "2024-03-09T12:00:00+01:00", &["2024-03-10T02:30:00+01:00", "2024-03-11T02:30:00+00:00"], "a fold in March"),
    row(CASABLANCA, &["30 2 * * *"], "2024-04-13T12:00:00+00:00", &["2024-04-14T03:00:00+01:00", "2024-04-15T02:30:00+01:00"], "a gap in April"),
    row(CASABLANCA, &["0 12 10 3,4 *"], "2024-01-01T00:00:00+01:00", &["2024-03-10T12:00:00+00:00", "2024-04-10T12:00:00+00:00", "2025-03-10T12:00:00+00:00"], "four changes are passed by one search"),
    // Troll moves by two hours: 2023-03-26, 01:00+00 is 03:00+02; 2023-10-29, 03:00+02 is 01:00+00.
    row(TROLL, &["30 1 * * *"], "2023-03-25T12:00:00+00:00", &["2023-03-26T03:00:00+02:00", "2023-03-27T01:30:00+02:00"], "a gap of two hours"),
    row(TROLL, &["15 1,2 * * *"], "2023-03-25T12:00:00+00:00", &["2023-03-26T03:00:00+02:00", "2023-03-27T01:15:00+02:00"], "both of its hours are one firing"),
    row(TROLL, &["30 1,2 * * *"], "2023-10-29T00:00:00+02:00", &["2023-10-29T01:30:00+02:00", "2023-10-29T02:30:00+02:00", "2023-10-30T01:30:00+00:00"], "a fold of two hours: the first pass only"),
    row(TROLL, &["0 * * * *"], "2023-10-29T01:30:00+02:00", &["2023-10-29T02:00:00+02:00", "2023-10-29T01:00:00+00:00", "2023-10-29T02:00:00+00:00", "2023-10-29T03:00:00+00:00"], "four firings in what the wall calls two hours"),
    // Apia went over the date line: after 2011-12-29 came 2011-12-31.
    row(APIA, &["0 12 * * *"], "2011-12-29T00:00:00-10:00", &["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"], "a whole day is a gap: what it swallowed is due at its end"),
    row(APIA, &["0 12 30 12 *"], "2011-01-01T00:00:00-10:00", &["2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"], "the lost day itself"),
    row(APIA, &["0 * * * *"], "2011-12-29T22:30:00-10:00", &["2011-12-29T23:00:00-10:00", "2011-12-31T00:00:00+14:00"], "an hour apart over the lost day"),
    row(APIA, &["0 0 * * 5"], "2011-12-25T00:00:00-10:00", &["2011-12-31T00:00:00+14:00", "2012-01-06T00:00:00+14:00"], "the Friday that was not"),
    // Beirut changes at midnight: 2024-03-31, 00:00+02 is 01:00+03; 2024-10-27, 00:00+03 is 2024-10-26 23:00+02.
    row(BEIRUT, &["@daily"], "2024-03-30T12:00:00+02:00", &["2024-03-31T01:00:00+03:00", "2024-04-01T00:00:00+03:00"], "a day without a midnight begins at one"),
    row(BEIRUT, &["30 23 * * *"], "2024-10-26T12:00:00+03:00", &["2024-10-26T23:30:00+03:00", "2024-10-27T23:30:00+02:00"], "a fold over the end of a day: once"),
    row(BEIRUT, &["0 0 * * *"], "2024-10-26T12:00:00+03:00", &["2024-10-27T00:00:00+02:00", "2024-10-28T00:00:00+02:00"], "midnight comes when both passes are over"),
    // Santiago, too: 2024-09-08, 00:00-04 is 01:00-03; 2024-04-07, 00:00-03 is 2024-04-06 23:00-04.
    row(SANTIAGO, &["0 0 * * 0"], "2024-09-07T12:00:00-04:00", &["2024-09-08T01:00:00-03:00", "2024-09-15T00:00:00-03:00"], "the Sunday without a midnight"),
    row(SANTIAGO, &["*/20 23 * * *"], "2024-04-06T23:30:00-03:00", &["2024-04-06T23:40:00-03:00", "2024-04-06T23:00:00-04:00", "2024-04-06T23:20:00-04:00", "2024-04-06T23:40:00-04:00", "2024-04-07T23:00:00-04:00"], "the last hour of the day twice"),
    // Kathmandu has odd minutes, and changed once: 1986-01-01, 00:00+05:30 is 00:15+05:45.
    row(KATHMANDU, &["0 6 * * *"], "2024-06-01T00:00:00+05:45", &["2024-06-01T06:00:00+05:45"], "an offset of 5:45"),
    row(KATHMANDU, &["5 0 * * *"], "1985-12-31T12:00:00+05:30", &["1986-01-01T00:15:00+05:45", "1986-01-02T00:05:00+05:45"], "a gap of a quarter of an hour at New Year"),
    // Calendars.
    row(UTC, &["0 0 29 2 *"], "2024-03-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"], "a leap day"),
    row(UTC, &["0 0 29 2 *"], "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"], "2100 is no leap year"),
    row(BERLIN, &["0 3 29 2 +1"], "2024-03-01T00:00:00+01:00", &["2044-02-29T03:00:00+01:00"], "a leap day that is a Monday, by +, past forty changes of the clock"),
    row(BERLIN, &["* * 29 2 *"], "2024-03-01T00:00:00+01:00", &["2028-02-29T00:00:00+01:00", "2028-02-29T00:01:00+01:00"], "an interval past eight changes of the clock"),
    row(UTC, &["0 0 31 * *"], "2024-01-31T00:00:00Z", &["2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z", "2024-07-31T00:00:00Z", "2024-08-31T00:00:00Z"], "months without a 31st are passed over"),
    row(UTC, &["0 0 L * *"], "2024-01-31T12:00:00Z", &["2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"], "L: the last day, whichever it is"),
    row(UTC, &["0 0 L 12 *"], "2024-01-01T00:00:00Z", &["2024-12-31T00:00:00Z", "2025-12-31T00:00:00Z"], "also in December"),
    row(UTC, &["0 0 LW * *"], "2024-05-01T00:00:00Z", &["2024-05-31T00:00:00Z", "2024-06-28T00:00:00Z", "2024-07-31T00:00:00Z", "2024-08-30T00:00:00Z"], "LW: the last working day"),
    row(UTC, &["0 0 15W * *"], "2024-06-01T00:00:00Z", &["2024-06-14T00:00:00Z", "2024-07-15T00:00:00Z", "2024-08-15T00:00:00Z", "2024-09-16T00:00:00Z"], "W: a Saturday goes back to Friday, a Sunday on to Monday"),
    row(UTC, &["0 0 1W * *"], "2024-05-31T12:00:00Z", &["2024-06-03T00:00:00Z", "2024-07-01T00:00:00Z"], "W stays in its month: Saturday the first is Monday the third"),
    row(UTC, &["0 0 * * 1#1"], "2024-06-01T00:00:00Z", &["2024-06-03T00:00:00Z", "2024-07-01T00:00:00Z"], "#: the first Monday"),
    row(UTC, &["0 0 * * FRI#5"], "2024-06-01T00:00:00Z", &["2024-08-30T00:00:00Z", "2024-11-29T00:00:00Z"], "months without a fifth Friday are passed over"),
    row(UTC, &["0 0 * * 5L"], "2024-06-01T00:00:00Z", &["2024-06-28T00:00:00Z", "2024-07-26T00:00:00Z"], "the last Friday"),
    row(UTC, &["0 0 13 * 5"], "2024-09-01T00:00:00Z", &["2024-09-06T00:00:00Z", "2024-09-13T00:00:00Z", "2024-09-20T00:00:00Z"], "day of month OR day of week"),
    row(UTC, &["0 0 */2 * 0"], "2024-09-01T00:00:00Z", &["2024-09-15T00:00:00Z", "2024-09-29T00:00:00Z"], "one of the two begins with *: AND, as Debian's cron has it"),
    row(UTC, &["0 0 1-7 * */7"], "2024-09-01T00:00:00Z", &["2024-10-06T00:00:00Z"], "the idiom for the first Sunday, which rests on that"),
    row(UTC, &["0 0 * * 7"], "2024-09-02T00:00:00Z", &["2024-09-08T00:00:00Z"], "7 is Sunday, too"),
    row(UTC, &["0 0 * * mon-fri"], "2024-09-06T00:00:00Z", &["2024-09-09T00:00:00Z"], "names in any case, and ranges of them"),
    row(UTC, &["0 12 1 JAN,jul *"], "2024-02-01T00:00:00Z", &["2024-07-01T12:00:00Z", "2025-01-01T12:00:00Z"], "names of months in a list"),
    row(UTC, &["5,10-20/5 8-10 * * *"], "2024-02-01T08:10:00Z", &["2024-02-01T08:15:00Z", "2024-02-01T08:20:00Z", "2024-02-01T09:05:00Z"], "lists, ranges and steps"),
    row(UTC, &["*/7 * * * *"], "2024-02-01T00:50:00Z", &["2024-02-01T00:56:00Z", "2024-02-01T01:00:00Z", "2024-02-01T01:07:00Z"], "a step begins anew each hour"),
    row(UTC, &["*/10 * * * * *"], "2024-02-01T00:00:15.250Z", &["2024-02-01T00:00:20Z", "2024-02-01T00:00:30Z"], "six fields: seconds first; a fraction is passed"),
    row(UTC, &["30 0 0 1 1 *"], "2024-02-01T00:00:00Z", &["2025-01-01T00:00:30Z"], "a second of a year"),
    row(UTC, &["@weekly"], "2024-09-01T00:00:00Z", &["2024-09-08T00:00:00Z"], "Sunday at midnight; the time itself is over"),
    row(UTC, &["@yearly"], "2024-09-01T00:00:00Z", &["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"], "New Year"),
    row(UTC, &["0 6 * * *", "0 18 * * *"], "2024-09-01T06:00:00Z", &["2024-09-01T18:00:00Z", "2024-09-02T06:00:00Z"], "a list of expressions is a union"),
    row(UTC, &["0 6 * * *", "0 6 * * 1"], "2024-09-01T06:00:00Z", &["2024-09-02T06:00:00Z", "2024-09-03T06:00:00Z"], "twice at one time is once"),
    // @every counts from the beginning, which is 2024-01-01T00:00:00Z here.
    row(BERLIN, &["@every 90s"], "2024-01-01T00:00:00Z", &["2024-01-01T01:01:30+01:00", "2024-01-01T01:03:00+01:00"], "not at the beginning itself"),
    row(BERLIN, &["@every 1h30m"], "2024-03-31T00:00:00Z", &["2024-03-31T03:30:00+02:00", "2024-03-31T05:00:00+02:00"], "a change of the clock is nothing to it"),
    row(UTC, &["@every 90s"], "2024-01-01T00:02:00.500Z", &["2024-01-01T00:03:00Z"], "a restart does not begin anew"),
    row(UTC, &["@every 1d"], "2023-12-01T00:00:00Z", &["2024-01-02T00:00:00Z"], "a clock from before the beginning waits for it"),
];

fn at(text: &str) -> UnixMs {
    UnixMs(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
}

fn schedule(zone: &Zone, expressions: &[&str]) -> Schedule {
    let expressions: Vec<String> = expressions.iter().map(|text| (*text).to_owned()).collect();
    Schedule::parse(&expressions, zone.clone(), at("2024-01-01T00:00:00Z")).expect("a schedule")
}

#[test]
fn the_table_of_times() {
    assert!(TABLE.len() >= 60, "{} rows", TABLE.len());
    let mut wrong = String::new();
    for Row { zone, schedule: expressions, after, due, why } in TABLE {
        let zone = Zone::named(zone).expect("a zone");
        let schedule = schedule(&zone, expressions);
        let mut time = at(after);
        let found: Vec<String> = due
            .iter()
            .map(|_| {
                time = schedule.next(time).expect("a next time").at;
                zone.show(time).replace("+00:00", "Z")
            })
            .collect();
        let due: Vec<String> = due.iter().map(|due| due.replace("+00:00", "Z")).collect();
        if found != due {
            wrong +=
                &format!("{} {expressions:?} after {after}: {why}\n  is   {found:?}\n  not  {due:?}\n", zone.name());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Each took a good part of a second to be refused, and a client may ask about twenty in one request.
#[test]
fn what_can_never_be_due_is_found_out_at_once() {
    let zone = Zone::named(UTC).expect("a zone");
    let never = ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30 2 +1", "0 0 * * +", "0 0 1 1 +1#2"];
    for expression in never.iter().cycle().take(100) {
        assert_eq!(schedule(&zone, &[expression]).never(at("2024-01-01T00:00:00Z")), Some(0), "{expression}");
    }
    // Seldom is not never: the leap day on a Monday.
    let seldom = schedule(&zone, &["0 0 29 2 +1"]);
    let due = seldom.next(at("2024-03-01T00:00:00Z")).expect("a next time");
    assert_eq!(zone.show(due.at), "2044-02-29T00:00:00+00:00");
}
