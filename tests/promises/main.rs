mod archive;
mod decode_real;
