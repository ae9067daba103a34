//! A picture of curves over powers of ten, as SVG that reads on light and on dark ground.

use std::fmt::Write;

/// Of the whole, of the field that the curves are in, and of what is left of it.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Between two names, at least.
const NAME: f64 = 18.0;

/// Told apart also by those who see few colours (Okabe and Ito's palette, without its yellow).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"];

/// What is drawn: its name, and its points.
pub struct Curve<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// A scale of powers of ten: where a value lies between two ends.
struct Scale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// One that has whole powers of ten at its ends.
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Scale {
        let least = values.clone().fold(f64::MAX, f64::min).log10().floor();
        let most = values.fold(f64::MIN, f64::max).log10().ceil();
        Scale { least, most: most.max(least + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.least) / (self.most - self.least) * (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = i32> {
        self.least as i32..=self.most as i32
    }
}

/// Draws them.
pub fn draw(title: &str, below: &str, beside: &str, curves: &[Curve]) -> String {
    let points = curves.iter().flat_map(|curve| &curve.points);
    let x = Scale::new(points.clone().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let y = Scale::new(points.map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" \
         role=\"img\" aria-label=\"{title}\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"17\">{title}</text>\n"
    );
    if !curves.is_empty() {
        grid(&mut svg, &x, &y);
    }
    let (middle_x, middle_y) = ((x.from + x.to) / 2.0, (y.from + y.to) / 2.0);
    let _ = writeln!(svg, "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">{below}</text>", HEIGHT - 16.0);
    let _ = writeln!(
        svg,
        "<text x=\"22\" y=\"{middle_y}\" text-anchor=\"middle\" transform=\"rotate(-90 22 {middle_y})\">{beside}</text>"
    );
    lines(&mut svg, &x, &y, curves);
    svg + "</svg>\n"
}

fn grid(svg: &mut String, x: &Scale, y: &Scale) {
    let mut rule = |from: (f64, f64), to: (f64, f64)| {
        let _ = writeln!(svg, "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#ddd\"/>", from.0, from.1, to.0, to.1);
    };
    x.powers().for_each(|power| rule((x.at(10_f64.powi(power)), y.from), (x.at(10_f64.powi(power)), y.to)));
    y.powers().for_each(|power| rule((x.from, y.at(10_f64.powi(power))), (x.to, y.at(10_f64.powi(power)))));
    let mut label = |at: (f64, f64), anchor: &str, power: i32| {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">10<tspan dy=\"-5\" font-size=\"10\">{power}</tspan></text>",
            at.0, at.1
        );
    };
    x.powers().for_each(|power| label((x.at(10_f64.powi(power)), y.from + 20.0), "middle", power));
    y.powers().for_each(|power| label((x.from - 8.0, y.at(10_f64.powi(power)) + 4.0), "end", power));
}

/// The curves, with their names at their ends, apart from each other.
fn lines(svg: &mut String, x: &Scale, y: &Scale, curves: &[Curve]) {
    let mut names: Vec<_> = curves.iter().zip(COLOURS.iter().cycle()).collect();
    names.sort_by(|a, b| end(b.0).1.total_cmp(&end(a.0).1));
    let mut free = TOP;
    for (curve, colour) in names {
        let mut path = String::new();
        for (index, (rows, cost)) in curve.points.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, x.at(*rows), y.at(*cost));
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x.at(*rows),
                y.at(*cost)
            );
        }
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let (rows, cost) = end(curve);
        let at = y.at(cost).max(free);
        free = at + NAME;
        let (from, to) = (x.at(rows) + 5.0, x.to + 22.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{from:.1} {:.1}L{to:.1} {at:.1}\" stroke=\"{colour}\" opacity=\".4\"/>",
            y.at(cost)
        );
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", to + 4.0, at + 4.0, curve.name);
    }
}

fn end(curve: &Curve) -> (f64, f64) {
    *curve.points.last().expect("only curves with points are drawn")
}
