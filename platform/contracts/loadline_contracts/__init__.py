"""What do Loadline's programs promise each other?"""
