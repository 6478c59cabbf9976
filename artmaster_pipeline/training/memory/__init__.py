"""How much memory each stage takes, before it runs; what to do where there was too little."""
