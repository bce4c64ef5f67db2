"""How do the wishes in Loadline's objects come true in the cluster?"""
