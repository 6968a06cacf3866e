"""From report.json to what people act on: pure functions to text, without torch."""
