//! Which objects are images that can be transformed.

/// The image formats that are resized and cropped on read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageKind {
    /// `.png`, comes out as PNG.
    Png,
    /// `.jpg` or `.jpeg`, comes out as JPEG.
    Jpeg,
    /// `.gif`, comes out as a GIF of the first frame.
    Gif,
    /// `.webp`, resized but never cropped, comes out as PNG.
    Webp,
}

impl ImageKind {
    /// The kind of an object, from the first of these that says anything: the extension in the URL (with or
    /// without its dot), the extension of the stored name, the stored MIME type. So `4,01ab.txt` is no image,
    /// whatever its stored name is.
    pub fn detect(
        url_ext: Option<&str>,
        stored_name: Option<&str>,
        mime: Option<&str>,
    ) -> Option<Self> {
        let url_ext = url_ext.map(|ext| ext.trim_start_matches('.'));
        let name_ext = stored_name.and_then(|name| Some(name.rsplit_once('.')?.1));
        let said = |ext: &Option<&str>| ext.is_some_and(|ext| !ext.is_empty());
        match url_ext
            .filter(|_| said(&url_ext))
            .or(name_ext.filter(|_| said(&name_ext)))
        {
            Some(ext) => Self::from_extension(ext),
            None => Self::from_mime(mime?),
        }
    }

    /// The type of what a transform of this kind puts out.
    pub fn output_mime(self) -> &'static str {
        match self {
            Self::Png | Self::Webp => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
        }
    }

    fn from_extension(ext: &str) -> Option<Self> {
        [
            ("png", Self::Png),
            ("jpg", Self::Jpeg),
            ("jpeg", Self::Jpeg),
            ("gif", Self::Gif),
            ("webp", Self::Webp),
        ]
        .into_iter()
        .find_map(|(known, kind)| known.eq_ignore_ascii_case(ext).then_some(kind))
    }

    fn from_mime(mime: &str) -> Option<Self> {
        let essence = mime.split(';').next().unwrap_or_default().trim();
        let (class, subtype) = essence.split_once('/')?;
        class
            .eq_ignore_ascii_case("image")
            .then(|| Self::from_extension(subtype))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_that_says_anything_decides() {
        let detect = ImageKind::detect;
        assert_eq!(detect(Some(".JPG"), None, None), Some(ImageKind::Jpeg));
        assert_eq!(
            detect(Some("webp"), Some("a.png"), Some("image/gif")),
            Some(ImageKind::Webp)
        );
        assert_eq!(detect(Some(".txt"), Some("a.png"), Some("image/png")), None);
        assert_eq!(
            detect(Some(""), Some("a.b.jpeg"), None),
            Some(ImageKind::Jpeg)
        );
        assert_eq!(
            detect(None, Some("4,0123abcd"), Some("image/png; q=1")),
            Some(ImageKind::Png)
        );
        assert_eq!(detect(None, None, Some("IMAGE/GIF")), Some(ImageKind::Gif));
        assert_eq!(detect(None, None, Some("text/png")), None);
        assert_eq!(detect(None, Some("png"), None), None);
        assert_eq!(detect(None, Some("a."), Some("nonsense")), None);
    }
}
