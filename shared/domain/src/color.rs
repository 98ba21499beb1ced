//! A client's color, and the colors that stay readable with it (WCAG 2.2, 1.4.3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An sRGB color, written `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

/// Why a text is no color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a color like #1a73e8")]
pub struct InvalidColor;

/// Least contrast of text on its background (WCAG 2.2, 1.4.3, level AA).
pub const READABLE: f64 = 4.5;

impl Color {
    /// White.
    pub const WHITE: Self = Self::rgb(255, 255, 255);
    /// Black.
    pub const BLACK: Self = Self::rgb(0, 0, 0);
    /// The color of a client that has none of its own.
    pub const DEFAULT: Self = Self::rgb(0x1f, 0x4f, 0xa3);

    /// A color from its parts.
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Reads `#rrggbb`, in any case.
    pub fn parse(text: &str) -> Result<Self, InvalidColor> {
        let digits = text.strip_prefix('#').ok_or(InvalidColor)?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidColor);
        }
        let part =
            |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| InvalidColor);
        Ok(Self::rgb(part(0)?, part(2)?, part(4)?))
    }

    /// The contrast ratio between two colors, from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// The text color for this background: white where it is readable, else black.
    ///
    /// One of the two always reaches [`READABLE`]: the worst color has 4.58 with both.
    #[must_use]
    pub fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= READABLE { Self::WHITE } else { Self::BLACK }
    }

    /// This color, darkened or lightened no further than needed to be readable as text on
    /// `background`.
    #[must_use]
    pub fn readable_on(self, background: Self) -> Self {
        const STEPS: u16 = 50;
        let end = background.text_on();
        (0..=STEPS)
            .map(|step| self.mixed(end, step, STEPS))
            .find(|color| color.contrast(background) >= READABLE)
            .unwrap_or(end)
    }

    /// This color with `share` of `whole` parts of it replaced by `other`.
    fn mixed(self, other: Self, share: u16, whole: u16) -> Self {
        let part = |from: u8, to: u8| {
            let sum = u32::from(from) * u32::from(whole - share) + u32::from(to) * u32::from(share);
            u8::try_from(sum / u32::from(whole)).unwrap_or(u8::MAX)
        };
        Self::rgb(
            part(self.red, other.red),
            part(self.green, other.green),
            part(self.blue, other.blue),
        )
    }

    /// Relative luminance, as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }
}

impl FromStr for Color {
    type Err = InvalidColor;

    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        Self::parse(text)
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_six_hexadecimal_digits_are_a_color() {
        assert_eq!(Color::parse("#1A73e8").map(|c| c.to_string()), Ok("#1a73e8".to_owned()));
        for text in ["", "#fff", "1a73e8", "#1a73e8;", "#12345g", "red", "#+12345", "#é1234"] {
            assert_eq!(Color::parse(text), Err(InvalidColor), "{text}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_specification() {
        assert!((Color::WHITE.contrast(Color::BLACK) - 21.0).abs() < 1e-9);
        // The gray that WebAIM's tables give as the lightest readable one on white.
        assert!(Color::rgb(0x76, 0x76, 0x76).contrast(Color::WHITE) >= READABLE);
        assert!(Color::rgb(0x77, 0x77, 0x77).contrast(Color::WHITE) < READABLE);
    }

    proptest! {
        #[test]
        fn text_is_readable_on_any_color(red: u8, green: u8, blue: u8) {
            let color = Color::rgb(red, green, blue);
            prop_assert!(color.contrast(color.text_on()) >= READABLE);
        }

        #[test]
        fn any_color_is_made_readable_on_any_background(a: (u8, u8, u8), b: (u8, u8, u8)) {
            let background = Color::rgb(b.0, b.1, b.2);
            let color = Color::rgb(a.0, a.1, a.2).readable_on(background);
            prop_assert!(color.contrast(background) >= READABLE);
        }
    }
}
