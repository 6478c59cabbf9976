"""Who looks at a picture and says what it shows: an embedded reader, or a vision-language model of the hub."""
