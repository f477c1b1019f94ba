"""What a model was fed: fields, their forms and numbers, kept so that another batch can be held against them."""
