"""Scripts that train what the station ships. Never imported by the station; torch may be."""
