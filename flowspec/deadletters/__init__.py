"""Dead letters: records that failed, kept with what is needed to mend them, to try them again and to replay them."""
