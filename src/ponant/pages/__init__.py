"""The files of the web pages: HTML, styles and scripts of Ponant, and the JavaScript libraries that they use."""
