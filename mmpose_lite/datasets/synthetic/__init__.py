"""Pictures of synthetic people, drawn with the body model Anny (extra ``synthetic``)."""
